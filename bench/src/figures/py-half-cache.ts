import { join } from 'node:path';

import { formatBytes } from '@millpool/protocol';

import { batchSize, fetchedBytes, path, withSampleFolder } from '../fetched-bytes.ts';
import type { Bench, Beside, Figure } from '../figure.ts';
import { median } from '../interval.ts';
import { LineProcess } from '../line-process.ts';
import { PackedSamples } from '../packed-samples.ts';
import { comparison } from '../pairs.ts';
import type { Lap } from '../pairs.ts';
import { PythonPrograms } from '../python-program.ts';
import { cachedRivals } from '../rivals.ts';
import { seed } from '../sample-order.ts';

const id = 'py-half-cache';
const goal = 1.7;
/** The first ones fill the cache. */
const firstEpochs = 2;
const epochs = 5;
const shape = { count: 12_288, sizeBytes: 100 << 10 };
const dataBytes = shape.count * shape.sizeBytes;
const cacheBytes = dataBytes / 2;

interface FetchingLap extends Lap {
  /** What was brought into the cache for it. */
  readonly fetchedBytes: number;
}

interface Fetched {
  readonly title: string;
  readonly bytes: readonly number[];
}

export const pyHalfCache: Figure = {
  id,
  measures: 'bytes fetched an epoch by LitData or MosaicML Streaming, the fewer, half of the data cached ÷ by ours',
  async *measure(bench) {
    const programs = await PythonPrograms.have(bench);
    if (!(programs instanceof PythonPrograms)) {
      yield { id, why: programs.why };
      return;
    }
    const measured = (directory: string): Promise<{ ours: number[]; theirs: Fetched[] }> =>
      fetchedByAll(directory, programs, bench);
    const { ours, theirs } = await withSampleFolder(shape, measured, bench.signal);
    const [best] = theirs.toSorted((one, other) => median(one.bytes) - median(other.bytes));
    if (best === undefined) {
      yield { id, why: 'none of the other loaders can be had here' };
      return;
    }
    yield {
      id,
      variant: `${formatBytes(cacheBytes)} of ${formatBytes(dataBytes)}, ${formatBytes(shape.sizeBytes)}`,
      ...comparison(best.bytes, ours),
      referenceName: `ours; before it ${best.title}, the best of ${theirs.map(({ title }) => title).join(' and ')}`,
      unit: 'bytes an epoch',
      goal,
      higherIsBetter: true,
      beside: theirs.map(({ title, bytes }): Beside => ({ name: title, value: median(bytes), unit: 'bytes an epoch' })),
    };
  },
};

async function fetchedByAll(
  directory: string,
  programs: PythonPrograms,
  bench: Bench,
): Promise<{ ours: number[]; theirs: Fetched[] }> {
  const loop = (socket: string): { command: readonly string[]; env: Readonly<Record<string, string>> } => ({
    command: programs.command('millpool_batches', socket, path, String(batchSize), String(seed), 'views'),
    env: programs.env,
  });
  const reader = { policy: 'auto', cacheBytes, world: 1, stepMs: 0, program: loop } as const;
  const ours = await fetchedBytes(directory, reader, { first: firstEpochs, epochs, signal: bench.signal });
  const theirs: Fetched[] = [];
  for (const { rival, program } of cachedRivals) {
    const had = await PythonPrograms.have(bench, rival.environment);
    if (!(had instanceof PythonPrograms)) bench.say(had.why);
    else {
      const folder = { folder: join(directory, 'files'), count: shape.count };
      await using packed = await PackedSamples.write(rival, had, folder, bench);
      theirs.push({ title: rival.title, bytes: await fetchedBy(packed, had, { program, bench }) });
    }
  }
  return { ours, theirs };
}

async function fetchedBy(
  { place, scratch }: PackedSamples,
  programs: PythonPrograms,
  { program, bench }: { readonly program: string; readonly bench: Bench },
): Promise<number[]> {
  const command = programs.command(program, place, scratch, String(cacheBytes), String(batchSize));
  await using loop = await LineProcess.start(command, { env: programs.env, signal: bench.signal });
  const fetched: number[] = [];
  for (let epoch = 0; epoch < firstEpochs + epochs; epoch += 1) {
    const lap = (await loop.lap(String(epoch))) as FetchingLap;
    bench.say(`${program}: ${formatBytes(lap.fetchedBytes)} for an epoch`);
    if (epoch >= firstEpochs) fetched.push(lap.fetchedBytes);
  }
  return fetched;
}
