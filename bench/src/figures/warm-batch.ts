import { formatBytes } from '@millpool/protocol';

import type { Bench, Figure, Result } from '../figure.ts';
import { comparePairs, warmUp } from '../pairs.ts';
import { WarmSamples } from '../warm-samples.ts';
import type { SampleShape } from '../warm-samples.ts';

const id = 'warm-batch';
const pairs = 21;
const warmUpLaps = 3;

/** About as many bytes as processors keep in no cache, and as many files as are written in seconds. */
const variants: readonly (SampleShape & { readonly goal: number | null })[] = [
  { count: 20_480, sizeBytes: 100 << 10, goal: 0.85 },
  { count: 65_536, sizeBytes: 4 << 10, goal: null },
  { count: 49_152, sizeBytes: 20 << 10, goal: null },
  { count: 2048, sizeBytes: 1 << 20, goal: null },
];

export const warmBatch: Figure = {
  id,
  measures: 'batches of 256 loaded samples through the TypeScript SDK ÷ a bare gather from mapped files',
  async *measure(bench) {
    for (const { goal, ...shape } of variants) yield await measureShape(shape, goal, bench);
  },
};

async function measureShape(shape: SampleShape, goal: number | null, bench: Bench): Promise<Result> {
  await using samples = await WarmSamples.make(shape, bench);
  await using ours = await samples.sdk();
  await using reference = await samples.bareGather();
  // The first laps check every record against its checksum, and map what is read.
  await warmUp(warmUpLaps, ours, reference);
  return {
    id,
    variant: formatBytes(shape.sizeBytes),
    ...(await comparePairs(ours, reference, { pairs, ...bench })),
    referenceName: 'bare gather from mapped files, one thread',
    unit: 'samples/s',
    goal,
    higherIsBetter: true,
  };
}
