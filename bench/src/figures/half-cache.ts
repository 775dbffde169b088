import { Order } from '@millpool/native';
import { formatBytes } from '@millpool/protocol';

import { fetchedBytes, withSampleFolder } from '../fetched-bytes.ts';
import type { Figure } from '../figure.ts';
import { comparison } from '../pairs.ts';
import { RecordLru } from '../record-lru.ts';
import { seed } from '../sample-order.ts';

const id = 'half-cache';
const goal = 0.97;
/** The first ones fill the cache. */
const firstEpochs = 2;
const epochs = 7;
const shape = { count: 12_288, sizeBytes: 100 << 10 };
const dataBytes = shape.count * shape.sizeBytes;
/** 75 of the smallest segments, which are of 8 MiB, or more. */
const cacheBytes = dataBytes / 2;

export const halfCache: Figure = {
  id,
  measures: 'the least bytes that must be fetched an epoch with half of the data cached ÷ those that are, under auto',
  async *measure({ say, signal }) {
    say(`writing ${shape.count} files of ${formatBytes(shape.sizeBytes)}`);
    const reader = { policy: 'auto', cacheBytes, world: 1, stepMs: 0 } as const;
    const read = (directory: string): Promise<number[]> =>
      fetchedBytes(directory, reader, { first: firstEpochs, epochs, signal });
    const fetched = await withSampleFolder(shape, read, signal);
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
  },
};

/** By a cache of the same bytes that gives up what was read longest ago: on average over the same epochs. */
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
