import { access, mkdtemp, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { cacheDirectory } from './cache-directory.ts';
import type { Getting, Had } from './cache-directory.ts';
import { runTool, ToolError } from './tool.ts';

/** A server that the Go client builds; only ever a process of its own. */
export interface GoProgram {
  readonly name: string;
  readonly version: string;
  /** For people. */
  readonly title: string;
  readonly goMinorMin: number;
  /** Arguments of the Go client, one run after the other, in a folder of their own into which they put the program. */
  readonly steps: readonly (readonly string[])[];
}

const buildTimeoutMs = 20 * 60_000;
const askTimeoutMs = 60_000;

/** The program, built into the cache when it is not there yet. */
export async function ensureGoProgram(program: GoProgram, getting: Getting): Promise<Had<string>> {
  const directory = await cacheDirectory('bin');
  const binary = join(directory, `${program.name}-${program.version}`);
  try {
    await access(binary);
    return { kind: 'ready', what: binary };
  } catch {
    return build(program, directory, binary, getting);
  }
}

async function build(
  program: GoProgram,
  directory: string,
  binary: string,
  { say, signal }: Getting,
): Promise<Had<string>> {
  const { name, version, title, goMinorMin, steps } = program;
  const unavailable = (why: string): Had<string> => ({ kind: 'unavailable', why: `${title} cannot be had: ${why}` });
  const stoppable = signal === undefined ? {} : { signal };
  const place = await mkdtemp(join(directory, 'build-'));
  try {
    const found = await runTool('go', ['version'], { timeoutMs: askTimeoutMs, ...stoppable });
    const minor = Number(/\bgo1\.(\d+)/.exec(found)?.[1]);
    if (!(minor >= goMinorMin)) return unavailable(`Go 1.${goMinorMin} is needed, and here is ${found.trim()}`);
    say(`Building ${title} ${version} with Go, once; this takes some minutes.`);
    const within = { timeoutMs: buildTimeoutMs, directory: place, env: { GOBIN: place }, ...stoppable };
    for (const args of steps) await runTool('go', args, within);
    await rename(join(place, name), binary);
    return { kind: 'ready', what: binary };
  } catch (thrown) {
    if (thrown instanceof ToolError) return unavailable(thrown.message);
    throw thrown;
  } finally {
    await rm(place, { recursive: true, force: true });
  }
}
