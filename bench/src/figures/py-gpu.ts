import { existsSync } from 'node:fs';

import { formatBytes } from '@millpool/protocol';
import type { PythonEnvironment } from '@millpool/test/harness';

import type { Bench, Figure, Outcome } from '../figure.ts';
import { LineProcess, lapsOf } from '../line-process.ts';
import { bestRate, comparePairs, fastest, warmUp } from '../pairs.ts';
import type { Contender } from '../pairs.ts';
import { PythonPrograms } from '../python-program.ts';
import { batchSize, WarmSamples } from '../warm-samples.ts';

const pairs = 7;
const warmUpLaps = 2;
const batches = 32;
/** Images of 3 x 224 x 224. */
const shape = { count: batches * batchSize, sizeBytes: 3 * 224 * 224 };
const gpu = '/dev/nvidia0';
const dataLoaderWorkers = ['0', '4', '8', '16'];

const environment: PythonEnvironment = {
  name: 'torchvision',
  title: 'torch and torchvision (540 MB to fetch, 5 GB on disk)',
  requirements: ['torch==2.14.0', 'torchvision==0.29.0', 'numpy==2.4.6', 'msgpack==1.2.4'],
};

/** The loop's program over a source of batches. */
type Start = (...source: readonly string[]) => Promise<Contender & AsyncDisposable>;

/** `copies` alone, or `training` a ResNet-50. */
type Loop = 'copies' | 'training';

interface Comparison {
  readonly id: string;
  readonly loop: Loop;
  readonly goal: number;
  readonly referenceName: string;
  readonly reference: (start: Start, folder: string) => Promise<Contender & AsyncDisposable>;
}

export const pyGpu = figureOf('batches on a GPU through millpool.torch ÷ copies of one page-locked buffer to it', {
  id: 'py-gpu',
  loop: 'copies',
  goal: 0.3,
  referenceName: 'the same bytes out of one page-locked buffer, again and again',
  reference: (start) => start('none'),
});

export const pyGpuVsDataLoader = figureOf("the same ÷ torch's DataLoader with page-locked memory, at its best", {
  id: 'py-gpu/dataloader',
  loop: 'copies',
  goal: 4,
  referenceName: `torch's DataLoader, pin_memory, the best of ${dataLoaderWorkers.join(', ')} workers`,
  reference: bestDataLoader,
});

export const pyGpuTraining = figureOf('images a second of a ResNet-50 that is trained ÷ the same on one batch', {
  id: 'py-gpu/training',
  loop: 'training',
  goal: 0.98,
  referenceName: 'the same training on a batch that is on the GPU already',
  reference: (start) => start('none'),
});

function figureOf(measures: string, comparison: Comparison): Figure {
  return { id: comparison.id, measures, measure: (bench) => compare(comparison, bench) };
}

async function bestDataLoader(start: Start, folder: string): Promise<Contender & AsyncDisposable> {
  const workers = await fastest(dataLoaderWorkers, async (count) => {
    await using tried = await start('torch', folder, count);
    return bestRate(tried);
  });
  return start('torch', folder, workers);
}

async function* compare(comparison: Comparison, bench: Bench): AsyncGenerator<Outcome> {
  const { id, loop, goal, referenceName } = comparison;
  if (!existsSync(gpu)) return yield { id, why: `there is no GPU of NVIDIA's (${gpu})` };
  const programs = await PythonPrograms.have(bench, environment);
  if (!(programs instanceof PythonPrograms)) return yield { id, why: programs.why };
  await using samples = await WarmSamples.make(shape, bench);
  const start: Start = async (...source) => {
    const command = programs.command('gpu_batches', loop, String(batches), String(batchSize), ...source);
    const options = { env: programs.env, signal: bench.signal };
    return lapsOf(await LineProcess.start(command, options), async (number) => String(number));
  };
  await using ours = await start('millpool', ...samples.pythonSource);
  await using reference = await comparison.reference(start, samples.folder);
  await warmUp(warmUpLaps, ours, reference);
  yield {
    id,
    variant: formatBytes(shape.sizeBytes),
    ...(await comparePairs(ours, reference, { pairs, ...bench })),
    referenceName,
    unit: 'samples/s',
    goal,
    higherIsBetter: true,
  };
}
