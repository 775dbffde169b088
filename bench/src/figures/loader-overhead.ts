import { formatBytes } from '@millpool/protocol';

import type { Figure } from '../figure.ts';
import { comparePairs, samplesPerCpuSecond, warmUp } from '../pairs.ts';
import type { Contender } from '../pairs.ts';
import { WarmSamples } from '../warm-samples.ts';

const id = 'loader-overhead';
const goal = 0.8;
const pairs = 21;
const warmUpLaps = 3;
/** The kernel tells a process's time in 10 ms: of so many laps together. */
const daemonLaps = 10;
const shape = { count: 65_536, sizeBytes: 4 << 10 };

export const loaderOverhead: Figure = {
  id,
  measures: 'CPU time a sample of a bare gather ÷ the same with the loader around it and a loop that does nothing',
  async *measure(bench) {
    await using samples = await WarmSamples.make(shape, bench);
    await using ours = await samples.sdk();
    await using reference = await samples.bareGather();
    await warmUp(warmUpLaps, ours, reference);
    yield {
      id,
      variant: formatBytes(shape.sizeBytes),
      ...(await comparePairs(ours, reference, { pairs, measure: samplesPerCpuSecond, ...bench })),
      referenceName: 'bare gather from mapped files, one thread',
      unit: 'samples/CPU s',
      goal,
      higherIsBetter: true,
      beside: [{ name: 'the daemon beside it', value: await daemonMicros(samples, ours), unit: 'CPU µs a sample' }],
    };
  },
};

async function daemonMicros(samples: WarmSamples, ours: Contender): Promise<number> {
  const before = await samples.daemonCpuSeconds();
  for (let lap = 0; lap < daemonLaps; lap += 1) await ours.lap(lap);
  const seconds = (await samples.daemonCpuSeconds()) - before;
  return (seconds / (daemonLaps * shape.count)) * 1e6;
}
