import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

import { Order } from '@millpool/native';
import { formatBytes } from '@millpool/protocol';
import type { Status } from '@millpool/protocol';
import { MillpoolNode } from '@millpool/test/harness';

import { benchProgram, lapProgram } from '../bench-program.ts';
import type { Figure } from '../figure.ts';
import { LineProcess } from '../line-process.ts';
import { comparison } from '../pairs.ts';
import { RecordLru } from '../record-lru.ts';
import { seed } from '../sample-order.ts';

const run = promisify(execFile);
const id = 'half-cache';
const goal = 0.97;
/** The first ones fill the cache. */
const firstEpochs = 2;
const epochs = 7;
const shape = { count: 12_288, sizeBytes: 100 << 10 };
const dataBytes = shape.count * shape.sizeBytes;
/** 75 of the smallest segments, which are of 8 MiB, or more. */
const cacheBytes = dataBytes / 2;
const batchSize = 256;
const path = '/samples';
/** A source's files are kept when they are older than this. */
const settleMs = 2200;
const writeTimeoutMs = 10 * 60_000;

export const halfCache: Figure = {
  id,
  measures: 'the least bytes that must be fetched an epoch with half of the data cached ÷ those that are, under auto',
  async *measure({ say, signal }) {
    const directory = await mkdtemp(join(tmpdir(), 'millpool-bench-'));
    try {
      say(`writing ${shape.count} files of ${formatBytes(shape.sizeBytes)}`);
      const args = ['samples', directory, String(shape.count), String(shape.sizeBytes)];
      await run(benchProgram, args, { timeout: writeTimeoutMs, signal });
      await sleep(settleMs, undefined, { signal });
      const fetched = await fetchedBytes(directory, signal);
      const least = fetched.map(() => dataBytes - cacheBytes);
      const lru = lruBytes();
      yield {
        id,
        variant: `${formatBytes(cacheBytes)} of ${formatBytes(dataBytes)}, ${formatBytes(shape.sizeBytes)}`,
        ...comparison(least, fetched),
        referenceName: 'bytes fetched an epoch by the SDK, shuffled, once the cache is filled',
        unit: 'bytes',
        goal,
        higherIsBetter: true,
        beside: [
          {
            name: 'bytes fetched an epoch by a record-level LRU over the same order, simulated',
            value: lru,
            unit: 'bytes',
          },
          { name: 'its ratio', value: (dataBytes - cacheBytes) / lru, unit: '' },
        ],
      };
    } finally {
      await rm(directory, { recursive: true, force: true, maxRetries: 3 });
    }
  },
};

/** Of each epoch after the first ones. */
async function fetchedBytes(directory: string, signal: AbortSignal): Promise<number[]> {
  const sources = [join(directory, 'files')];
  const args = ['--at', path, '--policy', 'auto', '--size', formatBytes(cacheBytes)];
  const node = await MillpoolNode.start({ directory, sources, args });
  try {
    const command = [...lapProgram('millpool'), node.socket, path, String(batchSize), String(seed)];
    await using loop = await LineProcess.start(command, { signal });
    const fetched: number[] = [];
    let before = 0;
    for (let epoch = 0; epoch < firstEpochs + epochs; epoch += 1) {
      await loop.lap(String(epoch));
      const status = JSON.parse((await node.run('status', '--json')).stdout) as Status;
      if (epoch >= firstEpochs) fetched.push(status.cache.sourceBytes - before);
      before = status.cache.sourceBytes;
    }
    return fetched;
  } finally {
    await node.stop();
  }
}

/** The same, by a cache of the same bytes that gives up what was read longest ago: on average over the same epochs. */
function lruBytes(): number {
  const lru = new RecordLru(cacheBytes);
  let bytes = 0;
  for (let epoch = 0; epoch < firstEpochs + epochs; epoch += 1) {
    const order = new Order({ count: shape.count, seed, epoch, shuffle: true });
    let fetched = 0;
    for (const sample of order.samples(0, shape.count)) fetched += lru.read(sample, shape.sizeBytes);
    if (epoch >= firstEpochs) bytes += fetched / epochs;
  }
  return bytes;
}
