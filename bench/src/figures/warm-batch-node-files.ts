import { formatBytes } from '@millpool/protocol';

import type { Bench, Figure } from '../figure.ts';
import { bestRate, comparePairs, fastest } from '../pairs.ts';
import { WarmSamples } from '../warm-samples.ts';

const id = 'warm-batch/node-files';
const goal = 2.5;
const pairs = 15;
const shape = { count: 20_480, sizeBytes: 100 << 10 };
const methods = ['synchronous', 'promises', 'read-files', 'two-workers'];

export const warmBatchNodeFiles: Figure = {
  id,
  measures: 'the same batches through the SDK ÷ Node reading the files they came from by its best method',
  async *measure(bench) {
    await using samples = await WarmSamples.make(shape, bench);
    const method = await bestMethod(samples, bench);
    await using reference = await samples.nodeFiles(method);
    await using ours = await samples.sdk();
    for (const side of [ours, reference]) await bestRate(side);
    yield {
      id,
      variant: formatBytes(shape.sizeBytes),
      ...(await comparePairs(ours, reference, { pairs, ...bench })),
      referenceName: `Node reading the same files, ${method} (best of ${methods.join(', ')})`,
      unit: 'samples/s',
      goal,
      higherIsBetter: true,
    };
  },
};

async function bestMethod(samples: WarmSamples, bench: Bench): Promise<string> {
  const best = await fastest(methods, async (method) => {
    bench.signal.throwIfAborted();
    await using reader = await samples.nodeFiles(method);
    const rate = await bestRate(reader);
    bench.say(`Node by ${method}: ${Math.round(rate)} samples/s`);
    return rate;
  });
  return best;
}
