import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

import { formatBytes } from '@millpool/protocol';

import { benchProgram, lapProgram } from '../bench-program.ts';
import type { Bench, Figure, Result } from '../figure.ts';
import { comparison } from '../pairs.ts';
import type { Contender } from '../pairs.ts';
import { PythonPrograms } from '../python-program.ts';
import { batchSize, WarmSamples } from '../warm-samples.ts';
import type { SampleShape } from '../warm-samples.ts';

const run = promisify(execFile);
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

/** Whose report it is. */
interface Sdk {
  readonly id: string;
  loop(samples: WarmSamples): Promise<Contender & AsyncDisposable>;
  /** The program that counts what an account of a batch takes. */
  readonly account: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

const measures = 'CPU time of a warm batch ÷ the same with what the stall report adds to it, which is counted';

export const reportCost: Figure = {
  id: 'report-cost',
  measures,
  async *measure(bench) {
    const loop = (samples: WarmSamples): ReturnType<Sdk['loop']> => samples.sdk();
    const sdk = { id: 'report-cost', loop, account: lapProgram('report-account'), env: {} };
    for (const { way, ...shape } of variants) yield await measureShape(sdk, shape, way, bench);
  },
};

export const pyReportCost: Figure = {
  id: 'py-report-cost',
  measures: `${measures}; by the Python SDK`,
  async *measure(bench) {
    const id = 'py-report-cost';
    const programs = await PythonPrograms.have(bench);
    if (!(programs instanceof PythonPrograms)) return void (yield { id, why: programs.why });
    const loop = (samples: WarmSamples): ReturnType<Sdk['loop']> => samples.pythonSdk(programs, 'views');
    const sdk = { id, loop, account: programs.command('report_account'), env: programs.env };
    for (const { way, ...shape } of variants) yield await measureShape(sdk, shape, way, bench);
  },
};

async function measureShape(sdk: Sdk, shape: SampleShape, way: Way, bench: Bench): Promise<Result> {
  await using samples = await WarmSamples.make(shape, bench);
  await using loop = await sdk.loop(samples);
  for (let lap = 0; lap < warmUpLaps; lap += 1) await loop.lap(lap);
  const bare: number[] = [];
  const reported: number[] = [];
  let added = 0;
  for (let number = 0; number < laps; number += 1) {
    bench.signal.throwIfAborted();
    const lap = await loop.lap(number);
    const batchMicros = (lap.cpuSeconds / lap.samples) * batchSize * 1e6;
    added = (await accountMicros(sdk, way, bench)) + replayShare * batchMicros;
    // More is better: batches a CPU second, with the report as ours.
    reported.push(1e6 / batchMicros);
    bare.push(1e6 / (batchMicros - added));
  }
  return {
    id: sdk.id,
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
async function accountMicros({ account, env }: Sdk, way: Way, { signal }: Bench): Promise<number> {
  const args = [String(batchSize), String(times)];
  const [program = '', ...script] = account;
  const sides = [
    await run(program, [...script, ...args], { signal, env: { ...process.env, ...env } }),
    await run(benchProgram, ['account', ...args, way], { signal }),
  ];
  return sides.reduce((sum, { stdout }) => sum + microsOf(stdout), 0);
}

function microsOf(stdout: string): number {
  const { micros } = JSON.parse(stdout) as { readonly micros?: number };
  if (typeof micros === 'number' && micros > 0) return micros;
  throw new Error(`no time in ${stdout.slice(0, 200)}`);
}
