import { formatBytes } from '@millpool/protocol';

import { ColdSource, objects } from '../cold-source.ts';
import { whyNoLink } from '../delay-link.ts';
import type { Figure } from '../figure.ts';
import { bestRate, comparePairs, fastest } from '../pairs.ts';

const id = 'cold-epoch/aws-sdk';
const goal = 1.4;
const pairs = 9;
const atOnceChoices = [16, 32, 64, 128, 256];
/** Of each epoch's order: the SDK's rate does not depend on how long it runs, and it is slow. */
const firstSamples = 4096;

export const coldEpochAwsSdk: Figure = {
  id,
  measures: 'the same first epoch ÷ @aws-sdk/client-s3 alone at its best concurrency, with the CPU time of both',
  async *measure(bench) {
    const why = await whyNoLink();
    if (why !== null) return yield { id, why };
    await using source = await ColdSource.open(bench);
    await using loop = await source.awsSdk();
    const at = (atOnce: number): { lap(number: number): ReturnType<typeof loop.lap> } => ({
      lap: async (number) => loop.lap(`${atOnce} ${await source.order.file(number, firstSamples)}`),
    });
    const atOnce = await fastest(atOnceChoices, async (choice) => {
      bench.signal.throwIfAborted();
      const rate = await bestRate(at(choice));
      bench.say(`the AWS SDK, ${choice} at once: ${Math.round(rate)}/s`);
      return rate;
    });
    yield {
      id,
      variant: `${formatBytes(objects.sizeBytes)}, 20 ms`,
      ...(await comparePairs(source.sdk(), at(atOnce), { pairs, ...bench })),
      referenceName: `@aws-sdk/client-s3, ${atOnce} at once (best of ${atOnceChoices.join(', ')})`,
      unit: 'samples/s',
      goal,
      higherIsBetter: true,
    };
  },
};
