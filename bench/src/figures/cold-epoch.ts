import { formatBytes } from '@millpool/protocol';

import { ColdSource, objects } from '../cold-source.ts';
import { whyNoLink } from '../delay-link.ts';
import type { Figure } from '../figure.ts';
import { bestRate, comparePairs, fastest } from '../pairs.ts';

const id = 'cold-epoch';
const goal = 0.85;
const pairs = 11;
const atOnceChoices = [16, 32, 64, 128, 256, 512];

export const coldEpoch: Figure = {
  id,
  measures: 'the first epoch over S3 with 20 ms of added latency ÷ a bare native loop of parallel GETs',
  async *measure(bench) {
    const why = await whyNoLink();
    if (why !== null) return yield { id, why };
    await using source = await ColdSource.open(bench);
    await using loop = await source.bareLoop();
    const at = (atOnce: number): { lap(number: number): ReturnType<typeof loop.lap> } => ({
      lap: async (number) => loop.lap(`${atOnce} ${await source.order.file(number)}`),
    });
    const atOnce = await fastest(atOnceChoices, async (choice) => {
      bench.signal.throwIfAborted();
      const rate = await bestRate(at(choice));
      bench.say(`bare GETs, ${choice} at once: ${Math.round(rate)}/s`);
      return rate;
    });
    yield {
      id,
      variant: `${formatBytes(objects.sizeBytes)}, 20 ms`,
      ...(await comparePairs(source.sdk(), at(atOnce), { pairs, ...bench })),
      referenceName: `bare loop of GETs, ${atOnce} at once (best of ${atOnceChoices.join(', ')})`,
      unit: 'samples/s',
      goal,
      higherIsBetter: true,
    };
  },
};
