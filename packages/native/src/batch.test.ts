import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { packObjects } from './object-list.ts';
import { bytesOf, TestEngine, testFiles, timeoutMs } from './testing/test-engine.ts';

const files = testFiles(12);
const objects = packObjects(files);
setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;
let engine: TestEngine;

before(async () => {
  engine = await TestEngine.start();
  await engine.fill(objects);
});
after(() => engine.stop());

test('release detaches every view and the batch says that it is closed', async () => {
  using client = await engine.connect();
  const batch = await client.readObjects(objects, { timeoutMs });
  const view = batch.sample(3);
  const own = batch.copy(3);
  assert.equal(view.buffer, batch.sample(4).buffer, 'one ArrayBuffer a batch');
  batch.release();
  batch.release();
  assert(batch.released);
  assert.equal(view.length, 0);
  assert.equal(view[0], undefined);
  assert.throws(() => batch.sample(3), { code: 'closed' });
  assert.throws(() => batch.error(3), { code: 'closed' });
  assert.equal(Buffer.compare(own, await bytesOf(files[3]!)), 0);
});

test('a batch that was never looked at can be released', async () => {
  using client = await engine.connect();
  const batch = await client.readObjects(objects, { timeoutMs });
  assert.throws(() => batch.sample(12), { code: 'invalid' });
  assert.throws(() => batch.sample(-1), { code: 'invalid' });
  batch.release();
});

test('a read waits for a slot until one is released, and says so when none is', async () => {
  using client = await engine.connect({ ringBytes: 2 ** 21 });
  const held = await client.readObjects(objects, { timeoutMs });
  await assert.rejects(client.readObjects(objects, { timeoutMs: 50 }), {
    code: 'timeout',
    message: /slot of the ring/,
  });
  const abort = new AbortController();
  const given = client.readObjects(objects, { timeoutMs, signal: abort.signal });
  abort.abort();
  await assert.rejects(given, { code: 'cancelled' });
  const next = client.readObjects(objects, { timeoutMs });
  held.release();
  (await next).release();
});

test('a dropped batch keeps its slot while a view of it is held', async () => {
  using client = await engine.connect({ ringBytes: 2 ** 21 });
  const first = await (async () => (await client.readObjects(objects, { timeoutMs })).sample(3))();
  collect();
  await assert.rejects(client.readObjects(objects, { timeoutMs: 50 }), { code: 'timeout' });
  assert.equal(Buffer.compare(first, await bytesOf(files[3]!)), 0);
});

test('slots of dropped batches come back by themselves', async () => {
  using client = await engine.connect({ ringBytes: 2 ** 21 });
  for (let round = 0; round < 5; round += 1) {
    await (async () => {
      const batch = await client.readObjects(objects, { timeoutMs });
      assert.equal(batch.sample(3).length, files[3]!.size);
    })();
    // Finalizers run in a later turn than the collection.
    for (let turn = 0; turn < 3; turn += 1) {
      collect();
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
});
