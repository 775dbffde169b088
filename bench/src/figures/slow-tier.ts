import { formatBytes } from '@millpool/protocol';

import { fetchedBytes, withSampleFolder } from '../fetched-bytes.ts';
import type { CachedReader } from '../fetched-bytes.ts';
import type { Figure } from '../figure.ts';
import { comparison } from '../pairs.ts';

const id = 'slow-tier';
const goal = 0.9;
const epochs = 5;
/** The loop's own: what moves to a disk takes its time, which a loop that does nothing does not leave. */
const stepMs = 250;
const shape = { count: 12_288, sizeBytes: 100 << 10 };
const dataBytes = shape.count * shape.sizeBytes;
const cacheBytes = dataBytes / 2;
/** What the fast tier does not hold, with room for segments that are being filled. */
const slowBytes = dataBytes;

export const slowTier: Figure = {
  id,
  measures: 'the bytes of a dataset ÷ those fetched for five epochs of it, with half of it on a slow tier',
  async *measure({ say, signal }) {
    say(`writing ${shape.count} files of ${formatBytes(shape.sizeBytes)}`);
    const reader = { policy: 'auto', cacheBytes, world: 1, stepMs } as const;
    const read = async (directory: string): Promise<readonly number[][]> => {
      const steps = { first: 0, epochs, signal };
      const of = (tiers: CachedReader): Promise<number[]> => fetchedBytes(directory, tiers, steps);
      return [await of({ ...reader, slowBytes }), await of({ ...reader, slowBytes: 0 })];
    };
    const [both = [], fast = []] = await withSampleFolder(shape, read, signal);
    yield {
      id,
      variant: `${formatBytes(cacheBytes)} fast of ${formatBytes(dataBytes)}, ${formatBytes(shape.sizeBytes)}`,
      ...comparison([dataBytes], [sum(both)]),
      referenceName: 'bytes fetched in five epochs by the SDK, shuffled, the first one with an empty cache',
      unit: 'bytes',
      goal,
      higherIsBetter: true,
      beside: [
        { name: 'of them in the last epoch', value: both.at(-1) ?? 0, unit: 'bytes' },
        { name: 'bytes fetched in five epochs without the slow tier', value: sum(fast), unit: 'bytes' },
        { name: 'of them in the last epoch', value: fast.at(-1) ?? 0, unit: 'bytes' },
      ],
    };
  },
};

function sum(values: readonly number[]): number {
  return values.reduce((all, value) => all + value, 0);
}
