import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import type { Bench } from './figure.ts';
import type { PythonPrograms } from './python-program.ts';
import type { Rival } from './rivals.ts';

const run = promisify(execFile);
const writeTimeoutMs = 10 * 60_000;

/** Files of `millpool-bench samples`. */
export interface SampleFolder {
  readonly folder: string;
  readonly count: number;
}

/** Samples once more, as another loader keeps them. */
export class PackedSamples implements AsyncDisposable {
  readonly #directory: string;
  readonly #rival: Pick<Rival, 'program' | 'title'>;
  readonly #programs: PythonPrograms;
  readonly #samples: SampleFolder;

  private constructor(
    directory: string,
    rival: Pick<Rival, 'program' | 'title'>,
    { programs, samples }: { readonly programs: PythonPrograms; readonly samples: SampleFolder },
  ) {
    this.#directory = directory;
    this.#rival = rival;
    this.#programs = programs;
    this.#samples = samples;
  }

  static async write(
    rival: Pick<Rival, 'program' | 'title'>,
    programs: PythonPrograms,
    samples: SampleFolder,
    { say, signal }: Bench,
  ): Promise<PackedSamples> {
    const directory = await mkdtemp(join(tmpdir(), 'millpool-bench-'));
    const packed = new PackedSamples(directory, rival, { programs, samples });
    say(`writing the samples for ${rival.title}`);
    const [program = '', ...args] = packed.command('write');
    try {
      const env = { ...process.env, ...programs.env };
      await run(program, args, { timeout: writeTimeoutMs, signal, env, maxBuffer: 16 << 20 });
      return packed;
    } catch (error) {
      await packed[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Where they are. */
  get place(): string {
    return join(this.#directory, 'samples');
  }

  /** For what is beside them, and gone with them. */
  get scratch(): string {
    return join(this.#directory, 'scratch');
  }

  /** Of the program that wrote them. */
  command(what: string, ...rest: readonly string[]): readonly string[] {
    const { folder, count } = this.#samples;
    return this.#programs.command(this.#rival.program, what, folder, String(count), this.place, ...rest);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#directory, { recursive: true, force: true, maxRetries: 3 });
  }
}
