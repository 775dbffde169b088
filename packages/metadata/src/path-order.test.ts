import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';

import { comparePaths } from '@millpool/protocol';
import fc from 'fast-check';

import { MemoryBucket } from './testing/memory-bucket.ts';
import { NodeFixture } from './testing/node-fixture.ts';

/** Keys whose names begin with each other and go on with bytes around the slash. */
const key = fc
  .array(fc.string({ unit: fc.constantFrom('a', '!', '-', '.', '0', 'é', '%2F', '/'), minLength: 1, maxLength: 4 }), {
    minLength: 1,
    maxLength: 4,
  })
  .map((names) => names.join('/'))
  .filter((text) => !text.endsWith('/'));

async function nodeWith(t: TestContext): Promise<NodeFixture> {
  const node = await NodeFixture.start({ partitionNamesMax: 4, shards: 16 });
  t.after(() => node.remove());
  return node;
}

let count = 0;

test('walks give every file once in the byte order of paths, and go on after any of them', async (t) => {
  const node = await nodeWith(t);
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(key, { maxLength: 40 }), fc.integer({ min: 1, max: 7 }), async (keys, limit) => {
      const prefix = `${++count}/`;
      const bucket = await node.attachBucket(new MemoryBucket(prefix), `/d${count}`);
      for (const name of keys) bucket.put(prefix + name, 1);
      const walked = await node.walk(`/d${count}`);
      assert.equal(walked.length, keys.length);
      assert.deepEqual(walked, walked.toSorted(comparePaths));
      const paged = await node.list(`/d${count}`, { recursive: true, limit });
      assert.deepEqual(
        paged.map(({ path }) => path),
        walked,
      );
      assert.deepEqual(
        await node.kinds(...walked),
        walked.map(() => 'file'),
      );
      await listEvery(node, `/d${count}`, { limit, walked });
    }),
    { numRuns: 100 },
  );
});

/** Each directory's entries are those that the walk shows it to have, in the order of their names. */
async function listEvery(
  node: NodeFixture,
  path: string,
  of: { limit: number; walked: readonly string[] },
): Promise<void> {
  const listed = await node.list(path, { limit: of.limit });
  const below = of.walked.filter((file) => file.startsWith(`${path}/`)).map((file) => file.slice(path.length + 1));
  const expected = new Set(
    below.map((file) => (file.includes('/') ? `${file.split('/', 1)[0]} directory` : `${file} file`)),
  );
  const got = listed.map((entry) => `${entry.path.slice(path.length + 1)} ${entry.type}`);
  assert.deepEqual(got.toSorted(), [...expected].toSorted());
  const names = listed.map((entry) => entry.path);
  assert.deepEqual(names, names.toSorted(comparePaths));
  for (const entry of listed) if (entry.type === 'directory') await listEvery(node, entry.path, of);
}
