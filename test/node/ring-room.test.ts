import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { connect } from '@millpool/client';
import type { LoaderOptions } from '@millpool/client';

import { FolderNode } from '../harness/folder-node.ts';

const miB = 2 ** 20;
const files = { files: 120, seed: 3, bytesMin: miB - 1, bytesMax: miB };
const timeoutSeconds = 60;

describe('a ring with less room than a loop reads ahead', () => {
  let folder: FolderNode;
  before(async () => {
    folder = await FolderNode.start('ring-room', files);
  });
  after(() => folder.stop());

  /** Slots are of 2 MiB, which is one batch each. */
  async function epochs(slots: number, options: LoaderOptions): Promise<void> {
    const mill = await connect({ socket: folder.socket, ringBytes: slots * 2 * miB, timeoutSeconds });
    try {
      const data = await mill.dataset(folder.root);
      for (let seed = 0; seed < 3; seed += 1) {
        const seen: number[] = [];
        for await (using batch of data.loader({ ...options, shuffle: true, seed })) {
          for (let i = 0; i < batch.length; i += 1) {
            const index = batch.index(i);
            assert.deepEqual(Buffer.from(batch.sample(i)), folder.bytesOf(data.path(index)));
            seen.push(index);
          }
        }
        assert.deepEqual(
          seen.sort((one, other) => one - other),
          [...Array(files.files).keys()],
        );
      }
    } finally {
      await mill.close();
    }
  }

  for (const slots of [1, 2, 5]) {
    for (const prefetch of ['auto', 16] as const) {
      test(
        `${slots} slots, prefetch ${prefetch}: every sample comes, once an epoch`,
        { timeout: 5 * timeoutSeconds * 1_000 },
        () => epochs(slots, { batchSize: 1, prefetch }),
      );
    }
  }

  test(
    'batches that the loop holds are what it is told of, when they hold all',
    { timeout: timeoutSeconds * 1_000 },
    async () => {
      const mill = await connect({ socket: folder.socket, ringBytes: 4 * miB, timeoutSeconds: 0.5 });
      const data = await mill.dataset(folder.root);
      const held = [];
      await assert.rejects(
        async () => {
          for await (const batch of data.loader({ batchSize: 1, prefetch: 16 })) held.push(batch);
        },
        { code: 'timeout', message: /2 batches hold all of it; release some/ },
      );
      assert.equal(held.length, 2);
      await mill.close();
    },
  );
});
