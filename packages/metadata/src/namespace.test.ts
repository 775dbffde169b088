import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';

import { comparePaths, MillpoolError, unpackEntries } from '@millpool/protocol';
import type { Freshness } from '@millpool/protocol';

import { AbsentNames } from './absent-names.ts';
import { MemoryBucket } from './testing/memory-bucket.ts';
import { never, NodeFixture } from './testing/node-fixture.ts';

async function bucketFor(
  t: TestContext,
  keys: readonly string[],
  freshness: Freshness = { kind: 'ttl', seconds: 60 },
): Promise<{ node: NodeFixture; bucket: MemoryBucket }> {
  const node = await NodeFixture.start();
  t.after(() => node.remove());
  const bucket = await node.attachBucket(new MemoryBucket('pre/'), '/d', freshness);
  for (const key of keys) bucket.put(`pre/${key}`, key.length);
  return { node, bucket };
}

const withCode =
  (code: string) =>
  (error: unknown): boolean =>
    error instanceof MillpoolError && error.code === code;
const names = (entries: readonly { path: string; type: string }[]): string[] =>
  entries.map(({ path, type }) => (type === 'directory' ? `${path}/` : path));

test('a directory lists its entries once, in the byte order of their names', async (t) => {
  const { node } = await bucketFor(t, ['b', 'a/x', 'a-b', 'a.txt', 'a0', 'c/d/e', 'Z', 'é', '\u{1f600}', '\u{ff5e}']);
  const listed = names(await node.list('/d'));
  assert.deepEqual(listed, [
    '/d/Z',
    '/d/a/',
    '/d/a-b',
    '/d/a.txt',
    '/d/a0',
    '/d/b',
    '/d/c/',
    '/d/é',
    '/d/\u{ff5e}',
    '/d/\u{1f600}',
  ]);
  for (const limit of [1, 2, 3]) assert.deepEqual(names(await node.list('/d', { limit })), listed);
  assert.deepEqual(names(await node.list('/d/c')), ['/d/c/d/']);
  assert.deepEqual(names(await node.list('/')), ['/d/']);
});

test('entries say what the source says, and where the bytes are', async (t) => {
  const { node } = await bucketFor(t, ['a/x']);
  const [file, directory, root] = await node.lookup('/d/a/x', '/d/a', '/d');
  assert.ok(file !== undefined && !('error' in file));
  assert.deepEqual(
    { ...file, sourceKey: Buffer.from(file.sourceKey).toString() },
    {
      path: '/d/a/x',
      type: 'file',
      size: 3,
      mtimeMs: 1_000,
      tag: '"1"',
      attachment: 1,
      sourceKey: 'pre/a/x',
    },
  );
  assert.deepEqual(
    [directory, root].map((entry) => entry !== undefined && !('error' in entry) && entry.mtimeMs),
    [null, null],
  );
  assert.deepEqual(
    (await node.list('/d/a')).map(({ mtimeMs }) => mtimeMs),
    [1_000],
  );
});

test('paths that are not there, or are files, are errors of their own', async (t) => {
  const { node } = await bucketFor(t, ['a/x']);
  assert.deepEqual(
    await node.kinds('/d/a/x', '/d/none', '/d/a/x/y', '/e', '/', '/d/a/'),
    ['file', 'not-found', 'not-found', 'not-found', 'directory', 'directory'].slice(0, 5).concat('not-found'),
  );
  await assert.rejects(node.page('/d/none'), withCode('not-found'));
  await assert.rejects(node.page('/e'), withCode('not-found'));
  await assert.rejects(node.page('/d/a/x'), withCode('invalid'));
  await assert.rejects(node.walk('/d/none'), withCode('not-found'));
  await assert.rejects(node.page('/d', { limit: 0 }), withCode('invalid'));
  await assert.rejects(node.page('/d', { cursor: 'bm8' }), withCode('invalid'));
  const { cursor } = await node.page('/d/a', { limit: 1 });
  assert.equal(cursor, null);
});

test('a whole listing makes its no certain: the source is not asked again within the ttl', async (t) => {
  const { node, bucket } = await bucketFor(t, ['a', 'b']);
  await node.list('/d');
  const before = { ...bucket.asked };
  assert.deepEqual(await node.kinds('/d/a', '/d/b', '/d/c', '/d/d'), ['file', 'file', 'not-found', 'not-found']);
  await node.list('/d');
  assert.deepEqual(bucket.asked, before);
  bucket.put('pre/c', 1);
  assert.deepEqual(await node.kinds('/d/c'), ['not-found']);
  await node.clock.advance(60_001);
  assert.deepEqual(await node.kinds('/d/c'), ['file']);
  assert.ok(bucket.asked.stats > before.stats);
});

test('the age of a listing counts from the start of its LIST, over a restart too', async (t) => {
  const { node, bucket } = await bucketFor(t, ['a'], { kind: 'ttl', seconds: 100 });
  let open = (): void => {};
  bucket.gate = new Promise((resolve) => {
    open = resolve;
  });
  const page = node.page('/d');
  await node.clock.advance(7_000);
  open();
  assert.equal((await page).ageSeconds, 7);
  await node.clock.advance(20_000);
  assert.equal((await node.page('/d')).ageSeconds, 27);
  await node.down();
  await node.clock.advance(10_000);
  await node.up();
  const { lists } = bucket.asked;
  assert.equal((await node.page('/d')).ageSeconds, 37);
  assert.equal(bucket.asked.lists, lists);
  await node.clock.advance(64_000);
  assert.equal((await node.page('/d')).ageSeconds, 0);
});

test('a listing that takes longer than it may be used is told of', async (t) => {
  const { node, bucket } = await bucketFor(t, ['a', 'dir/x'], { kind: 'ttl', seconds: 100 });
  const slowLines = (): string[] => node.log.lines.filter((line) => line.includes('longer than it may be used'));
  for (const [path, seconds] of [
    ['/d', 99],
    ['/d/dir', 101],
  ] as const) {
    let open = (): void => {};
    bucket.gate = new Promise((resolve) => {
      open = resolve;
    });
    const page = node.page(path);
    await node.clock.advance(1_000 * seconds);
    open();
    await page;
  }
  const [line = '', ...others] = slowLines();
  assert.ok(line.includes('/d/dir') && line.includes('ttl=100s'), line);
  assert.deepEqual(others, []);
});

test('a directory of a bucket is asked for once, and what is none leaves nothing behind', async (t) => {
  const { node, bucket } = await bucketFor(t, ['a', 'dir/x', 'dir/deep/y']);
  for (const recursive of [false, true]) {
    const { lists, stats } = bucket.asked;
    assert.equal((await node.list(recursive ? '/d' : '/d/dir', { recursive })).length, recursive ? 3 : 2);
    assert.deepEqual(bucket.asked, { lists: lists + 1, stats });
  }
  const other = await bucketFor(t, ['a']);
  const { directories } = other.node.metadata;
  for (const [path, code] of [
    ['/d/none', 'not-found'],
    ['/d/a', 'invalid'],
  ] as const) {
    await assert.rejects(other.node.page(path), withCode(code));
    assert.equal(directories.age(path, null).seconds, null);
    const { lists } = other.bucket.asked;
    await assert.rejects(other.node.page(path, { recursive: true }), withCode(code));
    assert.equal(directories.age(path, null).seconds, null);
    assert.ok(path === '/d/a' || other.bucket.asked.lists === lists, 'that it is not there is remembered');
  }
});

test('strict asks at every look-up and at the start of every listing; immutable never again', async (t) => {
  const strict = await bucketFor(t, ['a'], { kind: 'strict' });
  await strict.node.list('/d');
  strict.bucket.put('pre/b', 1);
  await strict.node.clock.advance(1);
  assert.deepEqual(await strict.node.kinds('/d/b'), ['file']);
  assert.deepEqual(names(await strict.node.list('/d', { limit: 1 })), ['/d/a', '/d/b']);
  strict.bucket.delete('pre/a');
  await strict.node.clock.advance(1);
  assert.deepEqual(await strict.node.kinds('/d/a'), ['not-found']);
  assert.deepEqual(await strict.node.walk('/d'), ['/d/b']);

  const fixed = await bucketFor(t, ['a', 'x/y'], { kind: 'immutable' });
  assert.deepEqual(await fixed.node.walk('/d'), ['/d/a', '/d/x/y']);
  const { lists } = fixed.bucket.asked;
  fixed.bucket.put('pre/b', 1);
  await fixed.node.clock.advance(1e9);
  assert.deepEqual(await fixed.node.walk('/d'), ['/d/a', '/d/x/y']);
  assert.deepEqual(await fixed.node.kinds('/d/b', '/d/x'), ['not-found', 'directory']);
  assert.equal(fixed.bucket.asked.lists, lists);
});

test('many who ask share one LIST, and look-ups meanwhile are answered singly', async (t) => {
  const { node, bucket } = await bucketFor(t, ['a', 'dir/x']);
  let open = (): void => {};
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  bucket.gate = gate;
  const pages = Array.from({ length: 20 }, () => node.page('/d'));
  await node.clock.advance(1);
  assert.equal(bucket.asked.lists, 1);
  bucket.gate = Promise.resolve();
  assert.deepEqual(await node.kinds('/d/a', '/d/dir', '/d/none'), ['file', 'directory', 'not-found']);
  const singly = bucket.asked.lists - 1;
  open();
  for (const page of await Promise.all(pages))
    assert.deepEqual(names(unpackEntries(page.entries)), ['/d/a', '/d/dir/']);
  assert.equal(bucket.asked.lists, 1 + singly);
});

test('that a name is not there is remembered within the ttl, by attachment, and never under `strict`', async (t) => {
  const { node, bucket } = await bucketFor(t, ['a']);
  const asked = (): number => bucket.asked.stats + bucket.asked.lists;
  assert.deepEqual(await node.kinds('/d/none', '/d/a'), ['not-found', 'file']);
  const before = asked();
  assert.deepEqual(await node.kinds('/d/none'), ['not-found']);
  assert.equal(asked(), before, 'nothing was asked');
  bucket.put('pre/none', 1);
  assert.deepEqual(await node.kinds('/d/none'), ['not-found'], 'as stale as a listing may be');
  const [now] = await node.metadata.lookupAtSource(['/d/none'], never);
  assert.ok(now !== undefined && !('error' in now), 'asked for now, it is there');
  assert.deepEqual(await node.kinds('/d/none'), ['file'], 'and is no longer held to be absent');
  bucket.delete('pre/none');
  assert.deepEqual(await node.kinds('/d/none'), ['not-found']);
  bucket.put('pre/none', 1);
  await node.clock.advance(61_000);
  assert.deepEqual(await node.kinds('/d/none'), ['file'], 'the ttl is over');

  const strict = await node.attachBucket(new MemoryBucket('strict/'), '/s', { kind: 'strict' });
  assert.deepEqual(await node.kinds('/s/none'), ['not-found']);
  strict.put('strict/none', 1);
  assert.deepEqual(await node.kinds('/s/none'), ['file']);
});

test('names that are not there are remembered up to a bound', () => {
  const absent = new AbsentNames();
  for (let at = 0; at <= 10_000; at += 1) absent.add(1, `/d/${at}`, at);
  assert.deepEqual(
    [absent.has(1, '/d/0', 0), absent.has(1, '/d/1', 0), absent.has(1, '/d/1', 2), absent.has(2, '/d/1', 0)],
    [false, true, false, false],
  );
});

test('who gives up waiting does not stop the LIST for the others', async (t) => {
  const { node, bucket } = await bucketFor(t, ['a']);
  let open = (): void => {};
  bucket.gate = new Promise((resolve) => {
    open = resolve;
  });
  const impatient = new AbortController();
  const request = { path: '/d', recursive: false, cursor: null, limit: 10 };
  const gaveUp = node.metadata.handlers.list(request, { signal: impatient.signal });
  const waits = node.page('/d');
  await node.clock.advance(1);
  impatient.abort();
  await assert.rejects(gaveUp, withCode('cancelled'));
  open();
  assert.deepEqual(names(unpackEntries((await waits).entries)), ['/d/a']);
});

test('a directory of which many names are asked is listed in passing', async (t) => {
  const keys = Array.from({ length: 500 }, (_, index) => `n${index}`);
  const { node, bucket } = await bucketFor(t, keys);
  const paths = keys.map((key) => `/d/${key}`);
  await node.kinds(...paths.slice(0, 20));
  assert.deepEqual(bucket.asked, { lists: 0, stats: 20 });
  await node.kinds(...paths.slice(0, 20));
  assert.deepEqual(bucket.asked, { lists: 1, stats: 40 });
  await node.list('/d');
  assert.ok((await node.kinds(...paths)).every((kind) => kind === 'file'));
  assert.deepEqual(bucket.asked, { lists: 1, stats: 40 });
});

test('names that wait to be asked for singly are answered by a listing that ends meanwhile', async (t) => {
  const keys = Array.from({ length: 100 }, (_, index) => `n${index}`);
  const { node, bucket } = await bucketFor(t, keys);
  let open = (): void => {};
  const held = new Promise<void>((resolve) => {
    open = resolve;
  });
  const stat = bucket.stat.bind(bucket);
  bucket.stat = async (...args) => {
    await held;
    return stat(...args);
  };
  const looking = node.kinds(...keys.map((key) => `/d/${key}`));
  assert.equal((await node.list('/d')).length, keys.length);
  open();
  assert.ok((await looking).every((kind) => kind === 'file'));
  assert.deepEqual(bucket.asked, { lists: 1, stats: 64 }, 'those that were under way');
});

test('a LIST that fails is an error, never an empty directory', async (t) => {
  const keys = Array.from({ length: 2_500 }, (_, index) => `n${String(index).padStart(5, '0')}`);
  const { node, bucket } = await bucketFor(t, keys);
  for (const pages of [0, 1, 2]) {
    bucket.failAfterLists = pages;
    await assert.rejects(node.page('/d'), withCode('source-unavailable'));
    await assert.rejects(node.walk('/d'), withCode('source-unavailable'));
    assert.ok(bucket.failAfterLists < 0, 'the fault was in force');
  }
  bucket.failAfterLists = Number.POSITIVE_INFINITY;
  const whole = names(await node.list('/d'));
  assert.equal(whole.length, 2_500);

  for (const key of keys.slice(0, 1_200)) bucket.delete(`pre/${key}`);
  await node.clock.advance(61_000);
  bucket.failAfterLists = 1;
  await assert.rejects(node.page('/d'), withCode('source-unavailable'));
  assert.ok(bucket.failAfterLists < 0, 'the fault was in force');
  bucket.failAfterLists = Number.POSITIVE_INFINITY;
  assert.deepEqual(await node.kinds('/d/n00000', '/d/n02499'), ['not-found', 'file']);
  assert.equal((await node.list('/d')).length, 1_300);
});

test('a key and keys below it: both are listed, the path is the file, and a directory to list', async (t) => {
  const { node } = await bucketFor(t, ['both', 'both/x', 'both/y/z', 'both-not']);
  const listed = ['/d/both/', '/d/both', '/d/both-not'];
  for (const limit of [1, 2, 10]) assert.deepEqual(names(await node.list('/d', { limit })), listed);
  for (const from of ['the store', 'the source']) {
    assert.deepEqual(await node.kinds('/d/both'), ['file'], from);
    assert.deepEqual(names(await node.list('/d/both')), ['/d/both/x', '/d/both/y/']);
    assert.deepEqual(await node.walk('/d/both'), ['/d/both', '/d/both/x', '/d/both/y/z']);
    assert.deepEqual(await node.walk('/d'), ['/d/both', '/d/both-not', '/d/both/x', '/d/both/y/z']);
    await node.clock.advance(61_000);
  }
});

test('odd keys have paths, and come back from them', async (t) => {
  const odd = ['a//b', 'a//c/d', '/root', 'x/./y', 'x/../z', 'p%2Fq', '%41%25', 'sp ace', 'new\nline', 'a///deep/e'];
  const { node, bucket } = await bucketFor(t, odd);
  bucket.put(Buffer.concat([Buffer.from('pre/bytes/'), Buffer.from('ff2fc3', 'hex')]), 9);
  const keys = [
    ...odd.map((key) => Buffer.from(key)),
    Buffer.concat([Buffer.from('bytes/'), Buffer.from('ff2fc3', 'hex')]),
  ];
  for (const round of ['walked', 'looked up singly', 'listed']) {
    const found: string[] = [];
    for await (const page of node.metadata.walk('/d', never)) {
      for (const { sourceKey } of page) found.push(Buffer.from(sourceKey).toString('latin1'));
    }
    assert.deepEqual(found.toSorted(), keys.map((key) => `pre/${key.toString('latin1')}`).toSorted(), round);
    const paths = await node.walk('/d');
    assert.deepEqual(paths, paths.toSorted(comparePaths), round);
    await node.clock.advance(61_000);
    if (round === 'looked up singly') await listAll(node, '/d');
    assert.ok(
      (await node.kinds(...paths)).every((kind) => kind === 'file'),
      round,
    );
  }
});

async function listAll(node: NodeFixture, path: string): Promise<void> {
  for (const entry of await node.list(path)) if (entry.type === 'directory') await listAll(node, entry.path);
}

test('a recursive listing asks the source flat, and fills every directory on its way', async (t) => {
  const keys = Array.from({ length: 900 }, (_, index) => `${index % 30}/${index % 7}/${index}`);
  const { node, bucket } = await bucketFor(t, keys);
  const expected = keys.map((key) => `/d/${key}`).toSorted(comparePaths);
  for (const limit of [7, 1_000]) {
    const listed = await node.list('/d', { recursive: true, limit });
    assert.deepEqual(
      listed.map(({ path }) => path),
      expected,
    );
    assert.ok(listed.every(({ type }) => type === 'file'));
  }
  assert.equal(bucket.asked.lists, 1);
  assert.deepEqual(
    await node.walk('/d/3'),
    expected.filter((path) => path.startsWith('/d/3/')),
  );
  assert.equal((await node.list('/d/29')).length, 7);
  assert.deepEqual(await node.kinds(...expected, '/d/29/absent'), [...expected.map(() => 'file'), 'not-found']);
  assert.equal(bucket.asked.lists, 1);
  assert.equal(bucket.asked.stats, 0);
});

test('a directory of 100,000 names in 64 partitions is listed in order, each name once, in any pages', async (t) => {
  const node = await NodeFixture.start({ partitionNamesMax: 2_000 });
  t.after(() => node.remove());
  const bucket = await node.attachBucket(new MemoryBucket(), '/d');
  for (let at = 0; at < 100_000; at += 1) bucket.put(`image-${(at * 7_919) % 1_000_003}.jpg`, at);
  for (const limit of [777, 10_000]) {
    const paths = (await node.list('/d', { limit })).map(({ path }) => path);
    assert.equal(new Set(paths).size, 100_000);
    assert.deepEqual(paths, paths.toSorted());
  }
  // One a thousand names, and those by which ranges overlap.
  assert.ok(bucket.asked.lists >= 100 && bucket.asked.lists <= 130, `${bucket.asked.lists} LISTs`);
});

test('a walk that is under way when the node stops, or its source is detached, throws', async (t) => {
  const keys = Array.from({ length: 5_000 }, (_, index) => `n${index}`);
  for (const end of ['stop', 'detach'] as const) {
    const { node } = await bucketFor(t, keys);
    const walk = node.metadata.walk('/d', never)[Symbol.asyncIterator]();
    assert.equal((await walk.next()).done, false);
    if (end === 'stop') await node.down();
    else await node.metadata.handlers.detach({ path: '/d' }, { signal: never });
    await assert.rejects(
      async () => {
        for (let next = await walk.next(); next.done !== true; next = await walk.next());
      },
      withCode(end === 'stop' ? 'closed' : 'cancelled'),
    );
  }
});

test('a listing whose directory was listed again says so, and goes on from its last name', async (t) => {
  const { node, bucket } = await bucketFor(t, ['a', 'b', 'c', 'd', 'x/1', 'x/2', 'x/3']);
  for (const recursive of [false, true]) {
    const first = await node.page('/d', { recursive, limit: 2 });
    assert.equal(first.changed, false);
    const same = await node.page('/d', { recursive, limit: 2, cursor: first.cursor });
    assert.equal(same.changed, false);
    await node.clock.advance(61_000);
    bucket.put('pre/bb', 1);
    bucket.delete('pre/a');
    const second = await node.page('/d', { recursive, limit: 2, cursor: first.cursor });
    assert.equal(second.changed, true);
    assert.deepEqual(names(unpackEntries(second.entries)), ['/d/bb', '/d/c']);
    bucket.delete('pre/bb');
    bucket.put('pre/a', 1);
    await node.clock.advance(61_000);
  }
  const { cursor } = await node.page('/d', { limit: 1 });
  await assert.rejects(node.page('/d/x', { cursor }), withCode('invalid'));
  await assert.rejects(node.page('/d', { cursor, recursive: true }), withCode('invalid'));
});

test('what was removed with its directory is gone, and a new directory under the old name starts afresh', async (t) => {
  const { node, bucket } = await bucketFor(t, ['gone/a', 'gone/deep/b', 'stays'], { kind: 'ttl', seconds: 1e6 });
  await node.walk('/d');
  for (const key of ['pre/gone/a', 'pre/gone/deep/b']) bucket.delete(key);
  await node.clock.advance(1.1e9);
  assert.deepEqual(names(await node.list('/d')), ['/d/stays']);
  bucket.put('pre/gone/deep/c', 1);
  await node.clock.advance(1.1e9);
  assert.deepEqual(await node.walk('/d'), ['/d/gone/deep/c', '/d/stays']);
  assert.deepEqual(await node.kinds('/d/gone/deep/b', '/d/gone/a', '/d/gone'), ['not-found', 'not-found', 'directory']);
});
