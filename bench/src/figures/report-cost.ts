import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

import { formatBytes } from '@millpool/protocol';

import { benchProgram, lapProgram } from '../bench-program.ts';
import type { Bench, Figure, Result } from '../figure.ts';
import { comparison } from '../pairs.ts';
import { batchSize, WarmSamples } from '../warm-samples.ts';
import type { SampleShape } from '../warm-samples.ts';

const run = promisify(execFile);
const id = 'report-cost';
const goal = 0.99;
const laps = 9;
const warmUpLaps = 3;
const times = 1_000_000;
/** What replays take of a loop's time at most (packages/client, `StageProbe`). */
const replayShare = 1 / 500;
/** How a batch is read once each sample has been read before: `known` where it is 2 MiB at most. */
type Way = 'read' | 'known';
const variants: readonly (SampleShape & { readonly way: Way })[] = [
  { count: 20_480, sizeBytes: 100 << 10, way: 'read' },
  { count: 65_536, sizeBytes: 4 << 10, way: 'known' },
];

export const reportCost: Figure = {
  id,
  measures: 'CPU time of a warm batch ÷ the same with what the stall report adds to it, which is counted',
  async *measure(bench) {
    for (const { way, ...shape } of variants) yield await measureShape(shape, way, bench);
  },
};

async function measureShape(shape: SampleShape, way: Way, bench: Bench): Promise<Result> {
  await using samples = await WarmSamples.make(shape, bench);
  await using loop = await samples.sdk();
  for (let lap = 0; lap < warmUpLaps; lap += 1) await loop.lap(lap);
  const bare: number[] = [];
  const reported: number[] = [];
  let added = 0;
  for (let number = 0; number < laps; number += 1) {
    bench.signal.throwIfAborted();
    const lap = await loop.lap(number);
    const batchMicros = (lap.cpuSeconds / lap.samples) * batchSize * 1e6;
    added = (await accountMicros(way, bench)) + replayShare * batchMicros;
    // More is better: batches a CPU second, with the report as ours.
    reported.push(1e6 / batchMicros);
    bare.push(1e6 / (batchMicros - added));
  }
  return {
    id,
    variant: formatBytes(shape.sizeBytes),
    ...comparison(reported, bare),
    referenceName: 'the same batch without what the report adds',
    unit: 'batches/CPU s',
    goal,
    higherIsBetter: true,
    beside: [{ name: 'the report adds', value: added, unit: 'CPU µs a batch' }],
  };
}

/** Of both sides of the border. */
async function accountMicros(way: Way, { signal }: Bench): Promise<number> {
  const args = [String(batchSize), String(times)];
  const [program = '', ...script] = lapProgram('report-account');
  const sides = [
    await run(program, [...script, ...args], { signal }),
    await run(benchProgram, ['account', ...args, way], { signal }),
  ];
  return sides.reduce((sum, { stdout }) => sum + microsOf(stdout), 0);
}

function microsOf(stdout: string): number {
  const { micros } = JSON.parse(stdout) as { readonly micros?: number };
  if (typeof micros === 'number' && micros > 0) return micros;
  throw new Error(`no time in ${stdout.slice(0, 200)}`);
}
