import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

import { formatBytes } from '@millpool/protocol';
import type { Policy, Status } from '@millpool/protocol';
import { MillpoolNode } from '@millpool/test/harness';

import { benchProgram, lapProgram } from './bench-program.ts';
import { LineProcess } from './line-process.ts';
import { seed } from './sample-order.ts';

const run = promisify(execFile);
export const path = '/samples';
export const batchSize = 256;
/** A source's files are kept when they are older than this. */
const settleMs = 2200;
const writeTimeoutMs = 10 * 60_000;

export interface Samples {
  readonly count: number;
  readonly sizeBytes: number;
}

/** One node of a job: what of each epoch it reads, in a cache of its own. */
export interface CachedReader {
  readonly policy: Policy;
  readonly cacheBytes: number;
  /** Of a directory that is said to be slow, beside it; none without it. */
  readonly slowBytes?: number;
  /** Ranks of the job; this node has the first. */
  readonly world: number;
  /** What a step takes beside its read. */
  readonly stepMs: number;
  /** Another program than the loop by the TypeScript SDK, which speaks as it does. */
  readonly program?: (socket: string) => {
    readonly command: readonly string[];
    readonly env: Readonly<Record<string, string>>;
  };
}

/** A folder of files to read, gone afterwards. */
export async function withSampleFolder<T>(
  { count, sizeBytes }: Samples,
  measure: (directory: string) => Promise<T>,
  signal: AbortSignal,
): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), 'millpool-bench-'));
  try {
    const args = ['samples', directory, String(count), String(sizeBytes)];
    await run(benchProgram, args, { timeout: writeTimeoutMs, signal });
    await sleep(settleMs, undefined, { signal });
    return await measure(directory);
  } finally {
    await rm(directory, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** What comes from the source in each epoch, shuffled, after the first ones, which fill the cache. */
export async function fetchedBytes(
  directory: string,
  { policy, cacheBytes, slowBytes = 0, world, stepMs, program }: CachedReader,
  { first, epochs, signal }: { readonly first: number; readonly epochs: number; readonly signal: AbortSignal },
): Promise<number[]> {
  const own = join(directory, `${policy}-${cacheBytes}-${slowBytes}-${world}`);
  await mkdir(own);
  const sources = [join(directory, 'files')];
  const slow = slowBytes === 0 ? [] : ['--slow-data', join(own, 'slow'), '--slow-size', formatBytes(slowBytes)];
  const args = ['--at', path, '--policy', policy, '--size', formatBytes(cacheBytes), ...slow];
  const node = await MillpoolNode.start({ directory: own, sources, args });
  try {
    const reader = [path, String(batchSize), String(seed), '0', String(world), String(stepMs)];
    const typescript = { command: [...lapProgram('millpool'), node.socket, ...reader], env: {} };
    const { command, env } = program?.(node.socket) ?? typescript;
    await using loop = await LineProcess.start(command, { env, signal });
    const fetched: number[] = [];
    let before = 0;
    for (let epoch = 0; epoch < first + epochs; epoch += 1) {
      await loop.lap(String(epoch));
      const status = JSON.parse((await node.run('status', '--json')).stdout) as Status;
      if (epoch >= first) fetched.push(status.cache.sourceBytes - before);
      before = status.cache.sourceBytes;
    }
    return fetched;
  } finally {
    await node.stop();
    await rm(own, { recursive: true, force: true, maxRetries: 3 });
  }
}
