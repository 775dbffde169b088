import { formatBytes } from '@millpool/protocol';

import { BareGets } from './bare-gets.ts';
import { ColdSource, objects } from './cold-source.ts';
import { whyNoLink } from './delay-link.ts';
import type { Figure } from './figure.ts';
import { comparePairs } from './pairs.ts';
import type { Contender } from './pairs.ts';

const goal = 0.85;
const pairs = 11;

/** A figure of what brings all objects of a far source here, beside bare GETs of the same. */
export function besideBareGets(id: string, what: string, oursOf: (source: ColdSource) => Contender): Figure {
  return {
    id,
    measures: `${what} over S3 with 20 ms of added latency ÷ a bare native loop of parallel GETs`,
    async *measure(bench) {
      const why = await whyNoLink();
      if (why !== null) return yield { id, why };
      await using source = await ColdSource.open(bench);
      await using bare = await BareGets.atBest(source, bench);
      yield {
        id,
        variant: `${formatBytes(objects.sizeBytes)}, 20 ms`,
        ...(await comparePairs(oursOf(source), bare, { pairs, ...bench })),
        referenceName: bare.name,
        unit: 'samples/s',
        goal,
        higherIsBetter: true,
      };
    },
  };
}
