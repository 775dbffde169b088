import { join } from 'node:path';

import { ensurePythonEnvironment } from '@millpool/test/harness';
import type { PythonEnvironment } from '@millpool/test/harness';

import { repository } from './bench-program.ts';
import type { Bench } from './figure.ts';

/** What torch and the loaders that are built on it need. */
export const torchEnvironment: PythonEnvironment = {
  name: 'torch',
  title: 'torch (540 MB to fetch, 5 GB on disk)',
  requirements: ['torch==2.15.0', 'pillow==13.0.0', 'numpy==2.4.6', 'msgpack==1.2.4'],
};

/** Python programs of `bench/python`, or why there are none. */
export class PythonPrograms {
  readonly #python: string;

  private constructor(python: string) {
    this.#python = python;
  }

  static async have(
    { say, signal }: Bench,
    environment: PythonEnvironment = torchEnvironment,
  ): Promise<PythonPrograms | { readonly why: string }> {
    const had = await ensurePythonEnvironment(environment, { say, signal });
    return had.kind === 'unavailable' ? { why: had.why } : new PythonPrograms(join(had.what, 'bin', 'python'));
  }

  /** Those of the SDK, and those of another loader in its environment. */
  static async beside(
    bench: Bench,
    environment: PythonEnvironment,
  ): Promise<{ readonly programs: PythonPrograms; readonly theirs: PythonPrograms } | { readonly why: string }> {
    const programs = await PythonPrograms.have(bench);
    if (!(programs instanceof PythonPrograms)) return programs;
    const theirs = await PythonPrograms.have(bench, environment);
    return theirs instanceof PythonPrograms ? { programs, theirs } : theirs;
  }

  command(name: string, ...args: readonly string[]): readonly string[] {
    return [this.#python, join(repository, 'bench/python', `${name}.py`), ...args];
  }

  /** What they need in their environment. */
  get env(): Readonly<Record<string, string>> {
    return { PYTHONPATH: join(repository, 'packages/python/src') };
  }
}
