import { formatBytes } from '@millpool/protocol';

import { BareGets } from '../bare-gets.ts';
import { ColdSource, objects } from '../cold-source.ts';
import { whyNoLink } from '../delay-link.ts';
import type { Bench, Figure, Outcome } from '../figure.ts';
import { lapsOf } from '../line-process.ts';
import { bestRate, comparePairs, fastest } from '../pairs.ts';
import type { Contender } from '../pairs.ts';
import { PythonPrograms } from '../python-program.ts';
import { litDataRaw, s3TorchConnector } from '../rivals.ts';
import type { Rival } from '../rivals.ts';

const pairs = 11;
const rivalPairs = 5;
const variant = `${formatBytes(objects.sizeBytes)}, 20 ms`;

export const pyCold: Figure = {
  id: 'py-cold',
  measures: 'the first epoch of a loop in Python over S3 with 20 ms ÷ a bare native loop of parallel GETs',
  async *measure(bench) {
    const programs = await PythonPrograms.have(bench);
    if ('why' in programs) return yield { id: 'py-cold', why: programs.why };
    const noLink = await whyNoLink();
    if (noLink !== null) return yield { id: 'py-cold', why: noLink };
    await using source = await ColdSource.open(bench);
    await using bare = await BareGets.atBest(source, bench);
    yield {
      id: 'py-cold',
      variant,
      ...(await comparePairs(source.pythonSdk(programs), bare, { pairs, ...bench })),
      referenceName: bare.name,
      unit: 'samples/s',
      goal: 0.85,
      higherIsBetter: true,
    };
  },
};

export const pyColdLitDataRaw = figureOf('py-cold/litdata-raw', litDataRaw);
export const pyColdS3TorchConnector = figureOf('py-cold/s3torchconnector', s3TorchConnector);

function figureOf(id: string, rival: Rival): Figure {
  return {
    id,
    measures: `the first epoch of a loop in Python over S3 with 20 ms ÷ ${rival.title} over the same objects`,
    measure: (bench) => compare(id, rival, bench),
  };
}

async function* compare(id: string, rival: Rival, bench: Bench): AsyncGenerator<Outcome> {
  const had = await PythonPrograms.beside(bench, rival.environment);
  if ('why' in had) return yield { id, why: had.why };
  const noLink = await whyNoLink();
  if (noLink !== null) return yield { id, why: noLink };
  const { programs, theirs } = had;
  await using source = await ColdSource.open(bench);
  const reader = async (way: readonly string[]): Promise<Contender & AsyncDisposable> =>
    lapsOf(await source.pythonReader(theirs, rival.program, way));
  const way = await fastest(rival.ways, async (candidate) => {
    await using tried = await reader(candidate);
    const rate = await bestRate(tried);
    bench.say(`${rival.title}, ${rival.wayName(candidate)}: ${rate.toFixed(0)} samples/s`);
    return rate;
  });
  await using reference = await reader(way);
  yield {
    id,
    variant,
    ...(await comparePairs(source.pythonSdk(programs), reference, { pairs: rivalPairs, ...bench })),
    referenceName: `${rival.title}, ${rival.wayName(way)} (its best of ${rival.ways.map(rival.wayName).join('; ')})`,
    unit: 'samples/s',
    goal: rival.goal,
    higherIsBetter: true,
  };
}
