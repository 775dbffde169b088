import { createHash } from 'node:crypto';
import { access, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { cacheDirectory } from './cache-directory.ts';
import type { Getting, Had } from './cache-directory.ts';
import { runTool, ToolError } from './tool.ts';

const installTimeoutMs = 30 * 60_000;
const hashDigits = 12;

/** What somebody needs of PyPI. */
export interface PythonEnvironment {
  /** Of its folder. */
  readonly name: string;
  /** For people who wait for it: what it is, and how large where it is large. */
  readonly title: string;
  /** As pip takes them. */
  readonly requirements: readonly string[];
}

/** Made once, and again when its requirements change. The value is its folder: programs are in its `bin`. */
export async function ensurePythonEnvironment(
  { name, title, requirements }: PythonEnvironment,
  { say, signal }: Getting,
): Promise<Had<string>> {
  const hash = createHash('sha256').update(requirements.join('\n')).digest('hex').slice(0, hashDigits);
  const directory = join(await cacheDirectory(), `${name}-${hash}`);
  const done = join(directory, 'installed');
  try {
    await access(done);
    return { kind: 'ready', what: directory };
  } catch {
    say(`Installing ${title} with pip, once.`);
  }
  const options = { timeoutMs: installTimeoutMs, ...(signal === undefined ? {} : { signal }) };
  try {
    // The paths inside an environment are absolute: it is made in its place, and marked when it is whole.
    await rm(directory, { recursive: true, force: true });
    await runTool('python3', ['-m', 'venv', directory], options);
    await runTool(join(directory, 'bin', 'pip'), ['install', '--quiet', ...requirements], options);
    await writeFile(done, '');
    return { kind: 'ready', what: directory };
  } catch (thrown) {
    if (thrown instanceof ToolError) return { kind: 'unavailable', why: `${title} cannot be had: ${thrown.message}` };
    throw thrown;
  }
}
