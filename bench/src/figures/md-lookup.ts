import type { Figure } from '../figure.ts';
import { bestRate, comparePairs } from '../pairs.ts';
import { WarmDirectory } from '../warm-directory.ts';

const id = 'md-lookup';
const goal = 0.6;
const pairs = 15;

export const mdLookup: Figure = {
  id,
  measures: 'look-ups of 256 names at the daemon ÷ gets of the same entries out of LMDB in one process',
  async *measure(bench) {
    bench.say('listing a directory of 100,000 objects');
    await using directory = await WarmDirectory.make();
    await using reference = await directory.lmdbGets();
    await using ours = await directory.lookUps();
    for (const side of [ours, reference]) await bestRate(side);
    yield {
      id,
      variant: '256 names of 100,000',
      ...(await comparePairs(ours, reference, { pairs, ...bench })),
      referenceName: 'LMDB with a pair an entry, in the same process: get and decode, name by name',
      unit: 'names/s',
      goal,
      higherIsBetter: true,
    };
  },
};
