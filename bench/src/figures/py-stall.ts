import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { formatBytes } from '@millpool/protocol';
import { MillpoolNode } from '@millpool/test/harness';

import type { Bench, Figure, Result } from '../figure.ts';
import { LineProcess } from '../line-process.ts';
import { bucketOf, environmentFor, ObjectServer } from '../object-server.ts';
import { comparison } from '../pairs.ts';
import type { Lap } from '../pairs.ts';
import { PythonPrograms } from '../python-program.ts';

const id = 'py-stall';
const goal = 0.98;
const path = '/samples';
/** The first ones fill a cache. */
const firstEpochs = 2;
const epochs = 5;

/** One accelerator of MLPerf Storage: what its samples are, and how many it takes a second. */
interface Workload {
  readonly name: string;
  readonly count: number;
  readonly sizeBytes: number;
  readonly batchSize: number;
  readonly samplesPerSecond: number;
}

const workloads: readonly Workload[] = [
  { name: 'ResNet-50 (H100, v2.0)', count: 16_384, sizeBytes: 114_660, batchSize: 400, samplesPerSecond: 1_786 },
  { name: 'RetinaNet (B200, v3.0)', count: 4_096, sizeBytes: 322_957, batchSize: 32, samplesPerSecond: 505 },
];

const caches = [
  { name: 'warm', share: 2, isLoaded: true },
  { name: 'cache of half', share: 0.5, isLoaded: false },
] as const;

interface StepsLap extends Lap {
  /** Of the emulated accelerator. */
  readonly workedSeconds: number;
}

export const pyStall: Figure = {
  id,
  measures: "time that one emulated accelerator of MLPerf Storage's works ÷ the time of its epoch, in Python",
  async *measure(bench) {
    const programs = await PythonPrograms.have(bench);
    if (!(programs instanceof PythonPrograms)) {
      yield { id, why: programs.why };
      return;
    }
    await using server = await ObjectServer.start('127.0.0.1');
    for (const workload of workloads) {
      for (const cache of caches) yield await train(workload, cache, { bench, programs, endpoint: server.endpoint });
    }
  },
};

async function train(
  workload: Workload,
  cache: (typeof caches)[number],
  { bench, programs, endpoint }: { bench: Bench; programs: PythonPrograms; endpoint: string },
): Promise<Result> {
  const { name, count, sizeBytes, batchSize, samplesPerSecond } = workload;
  const directory = await mkdtemp(join(tmpdir(), 'millpool-bench-'));
  const args = ['--at', path, '--size', formatBytes(Math.round(cache.share * count * sizeBytes))];
  const sources = [`s3://${bucketOf(workload)}/data`];
  const node = await MillpoolNode.start({ directory, sources, args, env: environmentFor(endpoint) });
  try {
    if (cache.isLoaded) await node.run('load', path, '--wait');
    const step = String(batchSize / samplesPerSecond);
    const command = programs.command('millpool_steps', node.socket, path, String(batchSize), step);
    await using loop = await LineProcess.start(command, { env: programs.env, signal: bench.signal });
    const laps: StepsLap[] = [];
    for (let epoch = 0; epoch < firstEpochs + epochs; epoch += 1) {
      const lap = (await loop.lap(String(epoch))) as StepsLap;
      bench.say(`${name}, ${cache.name}: ${(lap.workedSeconds / lap.seconds).toFixed(3)} of an epoch at work`);
      if (epoch >= firstEpochs) laps.push(lap);
    }
    return {
      id,
      variant: `${name}, ${cache.name}`,
      ...comparison(
        laps.map(({ workedSeconds }) => workedSeconds),
        laps.map(({ seconds }) => seconds),
      ),
      referenceName: `${samplesPerSecond} samples/s of ${sizeBytes} bytes, batches of ${batchSize}, slept through`,
      unit: 's',
      goal,
      higherIsBetter: true,
    };
  } finally {
    await node.stop();
    await rm(directory, { recursive: true, force: true, maxRetries: 3 });
  }
}
