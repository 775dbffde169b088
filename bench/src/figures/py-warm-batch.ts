import { formatBytes } from '@millpool/protocol';

import type { Bench, Figure, Outcome } from '../figure.ts';
import { comparePairs, warmUp } from '../pairs.ts';
import { PythonPrograms } from '../python-program.ts';
import { WarmSamples } from '../warm-samples.ts';

const pairs = 21;
const warmUpLaps = 3;
const shape = { count: 20_480, sizeBytes: 100 << 10 };

export const pyWarmBatch: Figure = {
  id: 'py-warm-batch',
  measures: 'batches of 256 loaded samples through the Python SDK ÷ a bare gather from mapped files',
  measure: (bench) =>
    compareWithSdk({ id: 'py-warm-batch', method: 'views', goal: 0.85 }, bench, async (samples) => ({
      reference: await samples.bareGather(),
      name: 'bare gather from mapped files, one thread',
    })),
};

export const pyVsDataLoader: Figure = {
  id: 'py-vs-dataloader',
  measures: "the same batches through the Python SDK ÷ torch's DataLoader over the same files, no workers",
  measure: (bench) => compareWithTorch({ id: 'py-vs-dataloader', method: 'views', goal: 3 }, bench, 'bytes'),
};

export const pyVsDataLoaderCollated: Figure = {
  id: 'py-vs-dataloader/collated',
  measures: "batches as one tensor through millpool.torch ÷ torch's DataLoader over the same files, no workers",
  measure: (bench) =>
    compareWithTorch({ id: 'py-vs-dataloader/collated', method: 'tensors', goal: 6 }, bench, 'tensors'),
};

interface Ours {
  readonly id: string;
  readonly method: 'views' | 'tensors';
  readonly goal: number;
}

interface Theirs {
  readonly reference: Awaited<ReturnType<WarmSamples['bareGather']>>;
  readonly name: string;
}

function compareWithTorch(ours: Ours, bench: Bench, method: string): AsyncGenerator<Outcome> {
  return compareWithSdk(ours, bench, async (samples, programs) => ({
    reference: await samples.byOrder(programs.command('torch_batches', samples.folder, '256', method, '0')),
    name: 'torch 2.15 DataLoader over the same files on warm ext4, 0 workers (its best: loaders-measured)',
  }));
}

async function* compareWithSdk(
  { id, method, goal }: Ours,
  bench: Bench,
  theirs: (samples: WarmSamples, programs: PythonPrograms) => Promise<Theirs>,
): AsyncGenerator<Outcome> {
  const programs = await PythonPrograms.have(bench);
  if (!(programs instanceof PythonPrograms)) {
    yield { id, why: programs.why };
    return;
  }
  await using samples = await WarmSamples.make(shape, bench);
  await using ours = await samples.pythonSdk(programs, method);
  const { reference: made, name } = await theirs(samples, programs);
  await using reference = made;
  // The first laps check every record against its checksum, and map what is read.
  await warmUp(warmUpLaps, ours, reference);
  yield {
    id,
    variant: formatBytes(shape.sizeBytes),
    ...(await comparePairs(ours, reference, { pairs, ...bench })),
    referenceName: name,
    unit: 'samples/s',
    goal,
    higherIsBetter: true,
  };
}
