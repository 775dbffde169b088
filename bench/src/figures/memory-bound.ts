import { formatBytes } from '@millpool/protocol';

import type { Figure } from '../figure.ts';
import { MemoryLoad } from '../memory-load.ts';
import { comparison } from '../pairs.ts';

const id = 'memory-bound';
const goal = 0.95;
const budgetBytes = 512 * 1024 ** 2;
const laps = 5;
/** Ten times the budget. */
const shape = {
  small: { count: 20_000, sizeBytes: 128 << 10 },
  large: { count: 42, sizeBytes: 64 << 20 },
};

export const memoryBound: Figure = {
  id,
  measures: 'a budget of 512 MiB ÷ the most memory that the daemon had while ten times that was asked of it at once',
  async *measure(bench) {
    await using load = await MemoryLoad.make(shape, budgetBytes, bench);
    const peaks: number[] = [];
    while (peaks.length < laps) {
      peaks.push(await load.peak());
      bench.say(`lap ${peaks.length}: ${formatBytes(peaks.at(-1) ?? 0)}`);
    }
    yield {
      id,
      variant: formatBytes(budgetBytes),
      ...comparison(
        peaks.map(() => budgetBytes),
        peaks,
      ),
      referenceName: 'peak of anonymous and shared memory of the daemon and its children',
      unit: 'bytes',
      goal,
      higherIsBetter: true,
    };
  },
};
