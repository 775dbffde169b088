import { formatBytes } from '@millpool/protocol';

import { fetchedBytes, withSampleFolder } from '../fetched-bytes.ts';
import type { Figure } from '../figure.ts';
import { comparison } from '../pairs.ts';

const id = 'order-cache';
/** More than fill the cache: under `order` it takes some for segments to be of one age no more. */
const firstEpochs = 6;
const epochs = 9;
/** The loop's own: an epoch of one rank of four takes some seconds. */
const stepMs = 250;
const shape = { count: 12_288, sizeBytes: 100 << 10 };
const dataBytes = shape.count * shape.sizeBytes;

/** Where each node reads a part of every epoch, another one each time, knowing the order saves; else nothing can. */
const variants = [
  { world: 4, share: 1 / 2, goal: 1.1 },
  { world: 4, share: 1 / 4, goal: 1.1 },
  { world: 1, share: 1 / 2, goal: 0.97 },
] as const;

export const orderCache: Figure = {
  id,
  measures: 'bytes fetched an epoch under auto ÷ under order, by a node with a part of the data cached',
  async *measure({ say, signal }) {
    say(`writing ${shape.count} files of ${formatBytes(shape.sizeBytes)}`);
    const measured = await withSampleFolder(shape, (directory) => measureAll(directory, say, signal), signal);
    for (const { auto, order, world, cacheBytes, goal } of measured) {
      const ranks = world === 1 ? 'all of each epoch' : `one of ${world} ranks`;
      yield {
        id,
        variant: `${formatBytes(cacheBytes)} of ${formatBytes(dataBytes)}, ${ranks}`,
        ...comparison(auto, order),
        referenceName: 'bytes fetched an epoch under auto, by the same loop over the same orders',
        unit: 'bytes',
        goal,
        higherIsBetter: true,
        beside: [],
      };
    }
  },
};

interface Measured {
  readonly world: number;
  readonly cacheBytes: number;
  readonly goal: number;
  readonly auto: readonly number[];
  readonly order: readonly number[];
}

async function measureAll(
  directory: string,
  say: (text: string) => void,
  signal: AbortSignal,
): Promise<readonly Measured[]> {
  const measured: Measured[] = [];
  for (const { world, share, goal } of variants) {
    const cacheBytes = dataBytes * share;
    const fetched = { auto: [] as number[], order: [] as number[] };
    for (const policy of ['auto', 'order'] as const) {
      say(`${policy}, ${formatBytes(cacheBytes)} cached, one of ${world} ranks`);
      const steps = { first: firstEpochs, epochs, signal };
      fetched[policy] = await fetchedBytes(directory, { policy, cacheBytes, world, stepMs }, steps);
    }
    measured.push({ world, cacheBytes, goal, ...fetched });
  }
  return measured;
}
