import type { TestContext } from 'node:test';

import type { ListingPart } from '@millpool/protocol';

import type { ListingCopy, WantedCopy } from '../listing-copy.ts';
import { MemoryBucket } from './memory-bucket.ts';
import { NodeFixture } from './node-fixture.ts';

/** Two nodes; `to` takes from `from` what it would have to list, unless the test bends what it gets. */
export async function copyingPair(t: TestContext) {
  const bucket = new MemoryBucket();
  const limits = { shards: 32, partitionNamesMax: 2_000 };
  const [from, to] = [await NodeFixture.start(limits), await NodeFixture.start(limits)];
  t.after(async () => {
    await to.remove();
    await from.remove();
  });
  for (const node of [from, to]) await node.attachBucket(bucket, '/data');
  const seen = { opened: 0, parts: 0, bend: (part: ListingPart): ListingPart => part };
  to.metadata.directories.copyFrom({
    open: async ({ path, part: namesPart }, wanted, signal): Promise<ListingCopy> => {
      const part = async (request: WantedCopy & { readonly after: ListingPart['next'] }) => {
        seen.parts += 1;
        return seen.bend(await from.metadata.directories.copyPart({ path, part: namesPart, ...request }, signal));
      };
      seen.opened += 1;
      const first = await part({ ...wanted, after: null });
      return { first, more: (after) => part({ maxAgeSeconds: null, known: null, after }) };
    },
  });
  return { bucket, from, to, seen };
}
