import { formatBytes } from '@millpool/protocol';

import type { Bench, Figure, Outcome } from '../figure.ts';
import { LineProcess, lapsOf } from '../line-process.ts';
import { PackedSamples } from '../packed-samples.ts';
import { bestRate, comparePairs, fastest, warmUp } from '../pairs.ts';
import type { Contender } from '../pairs.ts';
import { PythonPrograms } from '../python-program.ts';
import { grain, litData, mosaic, webDataset } from '../rivals.ts';
import type { Rival } from '../rivals.ts';
import { batchSize, WarmSamples } from '../warm-samples.ts';

const pairs = 11;
const warmUpLaps = 3;
const shape = { count: 20_480, sizeBytes: 100 << 10 };

export const pyVsLitData = figureOf('py-vs-litdata', litData);
export const pyVsWebDataset = figureOf('py-vs-webdataset', webDataset);
export const pyVsMosaic = figureOf('py-vs-mosaic', mosaic);
export const pyVsGrain = figureOf('py-vs-grain', grain);

function figureOf(id: string, rival: Rival): Figure {
  return {
    id,
    measures: `batches of 256 loaded samples through the Python SDK ÷ ${rival.title}, warm`,
    measure: (bench) => compare(id, rival, bench),
  };
}

async function* compare(id: string, rival: Rival, bench: Bench): AsyncGenerator<Outcome> {
  const had = await PythonPrograms.beside(bench, rival.environment);
  if ('why' in had) return yield { id, why: had.why };
  const { programs, theirs } = had;
  await using samples = await WarmSamples.make(shape, bench);
  await using packed = await PackedSamples.write(rival, theirs, { folder: samples.folder, count: shape.count }, bench);
  const reader = async (way: readonly string[]): Promise<Contender & AsyncDisposable> => {
    const command = packed.command('read', String(batchSize), ...way);
    return lapsOf(await LineProcess.start(command, { env: theirs.env, signal: bench.signal }));
  };
  const way = await fastest(rival.ways, async (candidate) => {
    await using tried = await reader(candidate);
    const rate = await bestRate(tried);
    bench.say(`${rival.title}, ${candidate.join(' ')}: ${rate.toFixed(0)} samples/s`);
    return rate;
  });
  await using ours = await samples.pythonSdk(programs, 'views');
  await using reference = await reader(way);
  await warmUp(warmUpLaps, ours, reference);
  yield {
    id,
    variant: formatBytes(shape.sizeBytes),
    ...(await comparePairs(ours, reference, { pairs, ...bench })),
    referenceName: `${rival.title}, ${rival.wayName(way)} (its best of ${rival.ways.map(rival.wayName).join('; ')})`,
    unit: 'samples/s',
    goal: rival.goal,
    higherIsBetter: true,
  };
}
