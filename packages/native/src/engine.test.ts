import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { MillpoolError } from '@millpool/protocol';

import type { Receipt } from './engine.ts';
import { FlowClient } from './flow-client.ts';
import { packObjects } from './object-list.ts';
import { attachment, bytesOf, openEngine, TestEngine, testFiles, timeoutMs } from './testing/test-engine.ts';

const files = testFiles(40);
const objects = packObjects(files);
const bytes = files.reduce((sum, file) => sum + file.size, 0);
const receipts: Receipt[] = [];
let heard: () => void = () => undefined;
let node: TestEngine;
// An engine keeps no event loop alive: a daemon's other socket does.
const alive = setInterval(() => undefined, timeoutMs);

before(async () => {
  node = await TestEngine.start({
    control: (body, caller) => answer(Buffer.from(body).toString(), caller.signal, caller.pid),
    receipts(rows) {
      receipts.push(...rows);
      heard();
    },
  });
});
after(async () => {
  clearInterval(alive);
  await node.stop();
});

async function answer(body: string, signal: AbortSignal, pid: number): Promise<Uint8Array> {
  switch (body) {
    case 'pid':
      return Buffer.from(String(pid));
    case 'refuse':
      throw new MillpoolError({ code: 'refused', message: 'not for you', remedy: 'ask' });
    case 'wait':
      heard();
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
      heard();
      throw signal.reason;
    default:
      return Buffer.from(body);
  }
}

async function code(work: Promise<unknown>): Promise<string> {
  const thrown = await work.then(
    () => undefined,
    (error: unknown) => error,
  );
  assert(thrown instanceof MillpoolError, `${thrown}`);
  return thrown.code;
}

test('control messages are answered, refused, and given up on both sides', async () => {
  using client = await node.connect();
  const call = async (text: string) => Buffer.from(await client.control(Buffer.from(text), { timeoutMs })).toString();
  assert.equal(await call('hello'), 'hello');
  assert.equal(await call('pid'), String(process.pid));
  await assert.rejects(call('refuse'), { code: 'refused', message: 'not for you' });

  const abort = new AbortController();
  const reached = new Promise<void>((resolve) => (heard = resolve));
  const waiting = client.control(Buffer.from('wait'), { timeoutMs, signal: abort.signal });
  await reached;
  const stopped = new Promise<void>((resolve) => (heard = resolve));
  abort.abort();
  assert.equal(await code(waiting), 'cancelled');
  await stopped;

  assert.equal(await code(client.control(Buffer.from('wait'), { timeoutMs: 30 })), 'timeout');
  assert.equal(await code(client.control(Buffer.from('x'), { timeoutMs, signal: AbortSignal.abort() })), 'cancelled');
});

test('what is fetched once is gathered from then on, and counted', async () => {
  using client = await node.connect();
  assert.equal(
    node.engine.residency(objects).reduce((sum, each) => sum + each, 0),
    0,
  );
  const fetch = node.engine.fetch(objects, 'load');
  const progress = await fetch.done;
  assert.deepEqual([progress.objectsDone, progress.bytesDone, progress.fetchedBytes], [files.length, bytes, bytes]);
  await node.engine.flush(timeoutMs);
  assert.deepEqual(
    [...node.engine.residency(objects)],
    files.map((file) => file.size),
  );

  receipts.length = 0;
  const told = new Promise<void>((resolve) => (heard = resolve));
  const plan = { plan: 4, position: files.length };
  using batch = await client.readObjects(objects, { timeoutMs, plan });
  assert.equal(batch.hits, files.length);
  for (const [i, file] of files.entries())
    assert(Buffer.compare(batch.sample(i), await bytesOf(file)) === 0, file.name);
  await told;
  const [row] = receipts;
  assert(row);
  assert.deepEqual([row.plan, row.position, row.samples, row.hitSamples, row.bytes], [4, 40, 40, 40, bytes]);
  assert.deepEqual(
    [...row.segments],
    node.engine.segments().map((segment) => segment.number),
  );

  const counters = node.engine.counters();
  assert.deepEqual([counters.records, counters.recordBytes, counters.sourceBytes], [files.length, bytes, bytes]);
  assert(client.state.mapping && client.state.segments > 0);
});

test('a client that does not map reads the same bytes', async () => {
  using client = await node.connect({ canMap: false });
  await node.fill(objects);
  using batch = await client.readObjects(objects, { timeoutMs });
  assert.equal(batch.hits, files.length);
  assert.equal(client.state.segments, 0);
  for (const [i, file] of files.entries())
    assert(Buffer.compare(batch.sample(i), await bytesOf(file)) === 0, file.name);
});

test('verify reads everything, forget and evict make it come again', async () => {
  using client = await node.connect();
  await node.fill(objects);
  const verified = await node.engine.verify(objects);
  assert.deepEqual({ ...verified }, { records: files.length, bytes, missing: 0, corrupt: [] });

  const freed = await node.engine.forget(packObjects(files.slice(0, 3)));
  assert.equal(freed.records, 3);
  using some = await client.readObjects(objects, { timeoutMs });
  assert.equal(some.hits, files.length - 3);

  await node.engine.flush(timeoutMs);
  assert(client.state.segments > 0);
  const segments = node.engine.segments().map((segment) => segment.number);
  await node.engine.evict(Uint32Array.from(segments));
  assert.deepEqual(node.engine.segments(), []);
  // The notice went out before this answer does.
  await client.control(Buffer.from('sync'), { timeoutMs });
  assert.equal(client.state.segments, 0, 'the client holds no room of what is gone');
  using again = await client.readObjects(objects, { timeoutMs });
  assert.equal(again.hits, 0);
});

test('what is live of a segment is copied forward, and a client that mapped the old one reads on', async () => {
  using client = await node.connect();
  await node.fill(objects);
  using earlier = await client.readObjects(objects, { timeoutMs });
  assert.equal(earlier.hits, files.length);
  const [open] = node.engine.segments();
  assert(open);
  assert.equal(await code(node.engine.copyForward(open, timeoutMs)), 'not-found', 'it is being filled');
  await node.seal();
  await node.engine.forget(packObjects(files.slice(0, 10)));

  for (const segment of node.engine.segments()) {
    const { left, damaged, retired } = await node.engine.copyForward(segment, timeoutMs);
    assert.deepEqual({ left, damaged, retired }, { left: 0, damaged: 0, retired: true });
  }
  const live = files.slice(10);
  assert.equal(node.engine.counters().records, live.length);
  using again = await client.readObjects(packObjects(live), { timeoutMs });
  assert.equal(again.hits, live.length, 'nothing is fetched again');
  for (const batch of [earlier, again]) {
    const of = batch === earlier ? files : live;
    for (const [i, file] of of.entries()) assert(Buffer.compare(batch.sample(i), await bytesOf(file)) === 0, file.name);
  }
  assert.deepEqual(await node.engine.verify(packObjects(live)).then(({ corrupt, missing }) => [corrupt, missing]), [
    [],
    0,
  ]);
});

test('an object that changed is an error of its own sample', async () => {
  using client = await node.connect();
  const changed = files.map((file, i) => (i === 2 ? { ...file, tag: 'f:1:2:3:4' } : file));
  using batch = await client.readObjects(packObjects(changed), { timeoutMs });
  assert.deepEqual([...batch.failures.keys()], [2]);
  assert.equal(batch.error(2)?.code, 'source-changed');
  assert.throws(() => batch.sample(2), { code: 'source-changed' });
  assert.equal(batch.sample(3).length, files[3]!.size);

  const fetch = node.engine.fetch(packObjects(changed), 'load');
  assert.equal((await fetch.done).failureCount, 1);
  assert.deepEqual(
    fetch.failures().map(({ index, error }) => [index, error.code]),
    [[2, 'source-changed']],
  );
});

test('ranges are read in part', async () => {
  using client = await node.connect();
  const offsets = Float64Array.from(files, (file) => Math.floor(file.size / 3));
  const lengths = Float64Array.from(files, (file) => Math.floor(file.size / 2));
  using batch = await client.readObjects(objects, { timeoutMs, ranges: { offsets, lengths } });
  for (const [i, file] of files.entries()) {
    const expected = (await bytesOf(file)).subarray(offsets[i], offsets[i]! + lengths[i]!);
    assert(Buffer.compare(batch.sample(i), expected) === 0, file.name);
  }
  const beyond = { offsets, lengths: Float64Array.from(files, (file) => file.size) };
  assert.equal(await code(client.readObjects(objects, { timeoutMs, ranges: beyond })), 'invalid');
  const fraction = { offsets: offsets.map((each) => each + 0.5), lengths };
  assert.equal(await code(client.readObjects(objects, { timeoutMs, ranges: fraction })), 'invalid');
});

test('a directory or socket in use, a missing daemon and a wrong list are clear errors', async () => {
  const device = join(node.folder, 'data');
  await assert.rejects(openEngine(device), (error: MillpoolError) => {
    return error.code === 'exists' && error.message.includes(device);
  });
  const socket = join(node.folder, 'nobody');
  await assert.rejects(FlowClient.connect({ socket, timeoutMs: 100, ringBytes: 2 ** 21 }), (error: MillpoolError) => {
    return error.code === 'unreachable' && error.message.includes(socket) && error.remedy.includes('millpool up');
  });
  using client = await node.connect();
  assert.equal(await code(client.readObjects(objects.subarray(0, 30), { timeoutMs })), 'invalid');
  const unknown = packObjects([{ ...files[0]!, attachment: attachment + 1 }]);
  assert.equal(await code(client.readObjects(unknown, { timeoutMs })), 'not-found');
  assert.equal(await code(client.dataset('00'.repeat(32), { timeoutMs })), 'not-found');
  assert.equal(await code(client.dataset('00', { timeoutMs })), 'invalid');
  client.close();
  assert.equal(await code(client.control(Buffer.from('x'), { timeoutMs })), 'closed');
});
