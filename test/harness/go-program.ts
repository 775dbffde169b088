import { access, mkdtemp, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { cacheDirectory } from './cache-directory.ts';
import type { Getting, Had } from './cache-directory.ts';
import { runTool, ToolError } from './tool.ts';

/** Apache-2.0; only ever a process of its own. */
const version = '1.8.0';
const module = `github.com/versity/versitygw/cmd/versitygw@v${version}`;
const goMinorMin = 25;
const buildTimeoutMs = 20 * 60_000;
const askTimeoutMs = 60_000;

/** The program of the S3 server, built by the Go client into the cache when it is not there yet. */
export async function ensureVersitygw(getting: Getting): Promise<Had<string>> {
  const directory = await cacheDirectory('bin');
  const binary = join(directory, `versitygw-${version}`);
  try {
    await access(binary);
    return { kind: 'ready', what: binary };
  } catch {
    return build(directory, binary, getting);
  }
}

async function build(directory: string, binary: string, { say, signal }: Getting): Promise<Had<string>> {
  const stoppable = signal === undefined ? {} : { signal };
  const place = await mkdtemp(join(directory, 'build-'));
  try {
    const found = await runTool('go', ['version'], { timeoutMs: askTimeoutMs, ...stoppable });
    const minor = Number(/\bgo1\.(\d+)/.exec(found)?.[1]);
    if (!(minor >= goMinorMin)) return unavailable(`Go 1.${goMinorMin} is needed, and here is ${found.trim()}`);
    say(`Building the S3 server versitygw ${version} with Go, once; this takes some minutes.`);
    await runTool('go', ['install', module], { timeoutMs: buildTimeoutMs, env: { GOBIN: place }, ...stoppable });
    await rename(join(place, 'versitygw'), binary);
    return { kind: 'ready', what: binary };
  } catch (thrown) {
    if (thrown instanceof ToolError) return unavailable(thrown.message);
    throw thrown;
  } finally {
    await rm(place, { recursive: true, force: true });
  }
}

function unavailable(why: string): Had<string> {
  return { kind: 'unavailable', why: `the S3 server versitygw cannot be had: ${why}` };
}
