import { formatBytes } from '@millpool/protocol';

import type { Bench, Figure, Outcome } from '../figure.ts';
import { fioMethods, fioReads, nameOf, whyNoFio } from '../fio.ts';
import type { FioMethod, PackedBlocks } from '../fio.ts';
import { bestRate, comparePairs, fastest } from '../pairs.ts';
import { WarmSamples } from '../warm-samples.ts';
import type { SampleShape } from '../warm-samples.ts';

const id = 'cold-device';
const pairs = 9;

/** Blocks of a device are read whole, so sizes are multiples of 4 KiB: both sides then move the same bytes. */
const variants: readonly (SampleShape & { readonly goal: number | null })[] = [
  { count: 20_480, sizeBytes: 100 << 10, goal: 0.85 },
  { count: 2048, sizeBytes: 1 << 20, goal: null },
  { count: 49_152, sizeBytes: 20 << 10, goal: null },
];

export const coldDevice: Figure = {
  id,
  measures: 'batches from resident segments that are not in the page cache ÷ the best O_DIRECT random read by fio',
  async *measure(bench) {
    for (const { goal, ...shape } of variants) yield await measureShape(shape, goal, bench);
  },
};

async function measureShape(shape: SampleShape, goal: number | null, bench: Bench): Promise<Outcome> {
  await using samples = await WarmSamples.make(shape, bench);
  const why = await whyNoFio(samples.packed);
  if (why !== null) return { id, why };
  const blocks = { ...shape, directory: samples.packed };
  const method = await bestMethod(blocks, bench);
  const ours = samples.uncachedSdk(bench);
  // The first lap checks every record against its checksum.
  await ours.lap(0);
  return {
    id,
    variant: formatBytes(shape.sizeBytes),
    ...(await comparePairs(ours, await fioReads(blocks, method, bench.signal), { pairs, ...bench })),
    referenceName: `fio, random O_DIRECT reads, ${nameOf(method)} (best of ${fioMethods.length} ways)`,
    unit: 'samples/s',
    goal,
    higherIsBetter: true,
  };
}

async function bestMethod(blocks: PackedBlocks, bench: Bench): Promise<FioMethod> {
  return fastest(fioMethods, async (method) => {
    bench.signal.throwIfAborted();
    const rate = await bestRate(await fioReads(blocks, method, bench.signal));
    bench.say(`fio, ${nameOf(method)}: ${Math.round(rate)} reads/s`);
    return rate;
  });
}
