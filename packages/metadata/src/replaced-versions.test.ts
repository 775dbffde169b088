import assert from 'node:assert/strict';
import { test } from 'node:test';

import { MemoryBucket } from './testing/memory-bucket.ts';
import { NodeFixture } from './testing/node-fixture.ts';

const ttlSeconds = 60;

test('a later listing tells each file that it has another version of, or none, as it was', async (t) => {
  const node = await NodeFixture.start();
  t.after(() => node.remove());
  const bucket = await node.attachBucket(new MemoryBucket('pre/'), '/d', { kind: 'ttl', seconds: ttlSeconds });
  for (const key of ['changes', 'goes', 'stays', 'x/goes too', '%odd']) bucket.put(`pre/${key}`, key.length);
  const told: string[] = [];
  const end = node.metadata.watchReplaced((files) =>
    told.push(...files.map(({ path, size, tag, sourceKey }) => `${path} ${size} ${tag} ${Buffer.from(sourceKey)}`)),
  );
  await node.walk('/d');
  assert.deepEqual(told, [], 'the first listing has nothing before it');

  bucket.put('pre/changes', 70);
  bucket.put('pre/%odd', 80);
  bucket.delete('pre/goes');
  bucket.put('pre/comes', 5);
  await node.clock.advance(1_000 * ttlSeconds + 1);
  await node.walk('/d');
  assert.deepEqual(told.toSorted(), [
    '/d/%odd 4 "5" pre/%odd',
    '/d/changes 7 "1" pre/changes',
    '/d/goes 4 "2" pre/goes',
  ]);

  end();
  bucket.put('pre/stays', 1);
  await node.clock.advance(1_000 * ttlSeconds + 1);
  await node.walk('/d');
  assert.equal(told.length, 3, 'nobody listens any more');
});
