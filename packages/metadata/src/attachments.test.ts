import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';

import { MillpoolError } from '@millpool/protocol';

import { MemoryBucket } from './testing/memory-bucket.ts';
import { never, NodeFixture } from './testing/node-fixture.ts';

async function nodeFor(t: TestContext): Promise<NodeFixture> {
  const node = await NodeFixture.start();
  t.after(() => node.remove());
  return node;
}

async function folderFor(t: TestContext, ...names: string[]): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'millpool-source-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  for (const name of names) {
    await mkdir(join(folder, name, '..'), { recursive: true });
    await writeFile(join(folder, name), name);
  }
  return folder;
}

const withCode =
  (code: string) =>
  (error: unknown): boolean =>
    error instanceof MillpoolError && error.code === code;

test('a source appears at its last name, or where it is told to', async (t) => {
  const node = await nodeFor(t);
  const folder = await folderFor(t, 'train/a.png', 'other/train/b.png');
  assert.equal((await node.attach(join(folder, 'train'), null)).path, '/train');
  assert.equal((await node.attach(join(folder, 'other'), '/deep/er/other')).path, '/deep/er/other');
  assert.deepEqual(await node.walk('/'), ['/deep/er/other/train/b.png', '/train/a.png']);
});

test('two sources with one name are refused with the way out, and so is what lies inside another', async (t) => {
  const node = await nodeFor(t);
  const folder = await folderFor(t, 'train/a.png', 'other/train/b.png');
  await node.attach(join(folder, 'train'), null);
  await assert.rejects(node.attach(join(folder, 'other/train'), null), (error) => {
    assert.ok(error instanceof MillpoolError);
    assert.equal(error.code, 'exists');
    assert.match(error.remedy, /--at/);
    return true;
  });
  await assert.rejects(node.attach(join(folder, 'other/train'), '/train/inside'), withCode('invalid'));
  await node.attach(join(folder, 'other'), '/above/below');
  await assert.rejects(node.attach(join(folder, 'other/train'), '/above'), withCode('invalid'));
  assert.deepEqual(
    node.metadata.attachments().map(({ path }) => path),
    ['/above/below', '/train'],
  );
});

test('a source that is not there is not recorded', async (t) => {
  const node = await nodeFor(t);
  const folder = await folderFor(t);
  await assert.rejects(node.attach(join(folder, 'absent'), '/absent'), withCode('not-found'));
  assert.deepEqual(node.metadata.attachments(), []);
});

test('attachments come back, and no id is given twice', async (t) => {
  const node = await nodeFor(t);
  const folder = await folderFor(t, 'one/a', 'two/b', 'three/c');
  const one = await node.attach(join(folder, 'one'), null);
  const two = await node.attach(join(folder, 'two'), null, { kind: 'strict' });
  await node.metadata.handlers.detach({ path: '/two' }, { signal: never });
  await assert.rejects(node.metadata.handlers.detach({ path: '/two' }, { signal: never }), withCode('not-found'));
  await node.down();
  await node.up();
  assert.deepEqual(node.metadata.attachments(), [one]);
  const three = await node.attach(join(folder, 'three'), null);
  assert.equal(new Set([one.id, two.id, three.id]).size, 3);
  assert.deepEqual(await node.kinds('/one/a', '/two/b', '/three/c'), ['file', 'not-found', 'file']);
});

test('a source that is away at start does not keep the node from starting, and comes back by itself', async (t) => {
  const node = await nodeFor(t);
  const folder = await folderFor(t, 'away/a', 'here/b');
  const away = await node.attach(join(folder, 'away'), null);
  await node.attach(join(folder, 'here'), null);
  await node.down();
  await rename(join(folder, 'away'), join(folder, 'hidden'));
  await node.up();
  await assert.rejects(node.metadata.underStorage(away.id), withCode('source-unavailable'));
  assert.equal(node.metadata.attachmentError(away.id)?.code, 'source-unavailable');
  assert.deepEqual(await node.kinds('/away/a', '/here/b'), ['source-unavailable', 'file']);
  assert.deepEqual(
    (await node.lookup('/away/a')).map((result) => 'error' in result && result.error.path),
    ['/away/a'],
  );
  await assert.rejects(node.page('/away'), withCode('source-unavailable'));

  await rename(join(folder, 'hidden'), join(folder, 'away'));
  const opened = new Promise<void>((resolve) => {
    node.metadata.watchAttachments(resolve);
  });
  await node.clock.advance(60_000);
  await opened;
  assert.equal(node.metadata.attachmentError(away.id), null);
  assert.deepEqual(await node.kinds('/away/a'), ['file']);
});

test('what a detached source left is swept, and its name can be used again', async (t) => {
  const node = await nodeFor(t);
  const first = await node.attachBucket(new MemoryBucket('first/'), '/data');
  for (const key of ['first/a', 'first/deep/b']) first.put(key, 1);
  assert.deepEqual(await node.walk('/data'), ['/data/a', '/data/deep/b']);
  await node.metadata.handlers.detach({ path: '/data' }, { signal: never });
  assert.deepEqual(await node.kinds('/data/a'), ['not-found']);
  const second = await node.attachBucket(new MemoryBucket('second/'), '/data');
  second.put('second/c', 1);
  assert.deepEqual(await node.walk('/data'), ['/data/c']);
  await node.down();
  await node.up();
  assert.deepEqual(await node.walk('/data'), ['/data/c']);
});

test('a LMDB file of another layout or another coordination store is set aside with a notice', async (t) => {
  const node = await nodeFor(t);
  const bucket = await node.attachBucket(new MemoryBucket(), '/data');
  bucket.put('a', 1);
  assert.deepEqual(await node.walk('/data'), ['/data/a']);
  await node.down();
  await rm(join(node.directory, 'coordination'), { recursive: true });
  await node.up();
  assert.ok(
    node.log.events.some(({ event }) => event === 'metadata store was set aside; directories are listed again'),
  );
  await node.attachBucket(bucket, '/data');
  bucket.delete('a');
  bucket.put('b', 1);
  assert.deepEqual(await node.kinds('/data/a', '/data/b'), ['not-found', 'file']);

  await node.down();
  await writeFile(join(node.directory, 'metadata/namespace.mdb'), Buffer.alloc(65_536, 7));
  await node.up();
  assert.deepEqual(await node.walk('/data'), ['/data/b']);
});

test('losing the LMDB file is only another listing', async (t) => {
  const node = await nodeFor(t);
  const bucket = await node.attachBucket(new MemoryBucket(), '/data', { kind: 'immutable' });
  for (let index = 0; index < 3_000; index += 1) bucket.put(`${index % 7}/${index}`, index);
  const before = await node.walk('/data');
  await node.down();
  for (const file of ['namespace.mdb', 'namespace.mdb-lock']) await rm(join(node.directory, 'metadata', file));
  await node.up();
  assert.deepEqual(await node.walk('/data'), before);
});
