import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';

import { systemClock } from '@millpool/host';
import type { Rung } from '@millpool/protocol';

import { hashName } from '../name-hash.ts';
import { ClusterFixture } from '../testing/cluster-fixture.ts';
import type { ClusterMember } from '../testing/cluster-fixture.ts';
import { MemoryBucket } from '../testing/memory-bucket.ts';
import { never } from '../testing/node-fixture.ts';

const names = 500;
const hotReadsPerS = 200;
const ttl = { kind: 'ttl', seconds: 3_600 } as const;
const directory = '/data/train';
const paths = Array.from({ length: names }, (_, at) => `${directory}/${at}.jpg`);
const [often = '', rare = ''] = paths;

/** Three nodes with as many shards each, and the one that has the directory's home. */
async function clusterOf(t: TestContext) {
  const cluster = await ClusterFixture.start();
  t.after(() => cluster.remove());
  const bucket = new MemoryBucket();
  for (let at = 0; at < names; at += 1) bucket.put(`train/${at}.jpg`, 100 + at);
  for (const id of ['a', 'b', 'c']) await cluster.add(id, { shards: 64, hotReadsPerS });
  cluster.attachBucket(bucket);
  await cluster.balance();
  const [first] = cluster.members;
  assert.ok(first !== undefined);
  await first.fixture.attach(bucket.source, '/data', ttl);
  for (const { fixture } of cluster.members) await fixture.metadata.refreshAttachments();
  const { shard = 0, directory: id = '' } = first.fixture.metadata.homeOf(directory, 'listing') ?? {};
  const homeId = first.node.view.ownerOf(shard)?.owner;
  const home = cluster.members.find(({ node }) => node.id === homeId) ?? assert.fail();
  // It is listed, and nobody has read it.
  await home.fixture.page(directory, { limit: 1 });
  const others = cluster.members.filter((member) => member !== home);
  return { cluster, bucket, home, others, record: () => home.node.view.directory(id) };
}

async function lookUp({ metadata }: ClusterMember, wanted: readonly string[]): Promise<void> {
  const found = await metadata.lookup([...wanted, `${directory}/none`], never);
  const kinds = found.map((result) => ('error' in result ? result.error.code : `${result.path} ${result.size}`));
  const sizes = wanted.map((path) => `${path} ${100 + Number.parseInt(path.slice(directory.length + 1), 10)}`);
  assert.deepEqual(kinds, [...sizes, 'not-found']);
}

/** Looks everything up, again and again, until it is so. */
async function readUntil(readers: readonly ClusterMember[], isSo: () => boolean, what: string): Promise<void> {
  const endMs = systemClock.monotonicMs() + 20_000;
  while (!isSo()) {
    assert.ok(systemClock.monotonicMs() < endMs, what);
    await Promise.all(readers.map((reader) => lookUp(reader, paths)));
    await systemClock.sleep(5);
  }
}

/** Looks one name up much more than another, again and again, until it is so; or once. */
async function readOne(readers: readonly ClusterMember[], isSo: () => boolean = () => true): Promise<void> {
  const wanted = [...Array.from({ length: 40 }, () => often), rare];
  const endMs = systemClock.monotonicMs() + 20_000;
  do {
    assert.ok(systemClock.monotonicMs() < endMs, 'it does not come');
    for (const { metadata } of readers) {
      const found = await metadata.lookup(wanted, never);
      const pathsFound = found.map((result) => !('error' in result) && result.path);
      assert.deepEqual(pathsFound, wanted);
    }
  } while (!isSo());
}

function askedOwners({ asked }: ClusterMember): number {
  return asked.filter(({ method }) => method === 'owner-lookup').length;
}

describe('a hot directory', () => {
  test('of which many nodes read one name has replicas of that, which count', async (t) => {
    const { home, others, record } = await clusterOf(t);
    await readOne(others, () => record()?.rung === 'replicate');
    assert.equal(record()?.entry, hashName(Buffer.from('0.jpg')));
    await readOne(others);
    const asked = t.mock.method(home.fixture.metadata, 'lookup');
    for (let round = 0; round < 5; round += 1) await readOne(others);
    assert.equal(asked.mock.callCount(), 5 * others.length);
    for (const { arguments: args } of asked.mock.calls) assert.deepEqual(args[0], [rare]);
    const sinceMs = systemClock.monotonicMs();
    await readOne(others, () => systemClock.monotonicMs() - sinceMs > 3_000);
    assert.equal(record()?.rung, 'replicate', 'what replicas answer is counted');
  });

  test('has no replica of an answer that is as old as it may be', async (t) => {
    const { home, others, record } = await clusterOf(t);
    const { directories } = home.fixture.metadata;
    t.mock.method(directories, 'age', () => ({ seconds: ttl.seconds, limitSeconds: ttl.seconds }));
    await readOne(others, () => record()?.rung === 'replicate');
    await readOne(others);
    const asked = t.mock.method(home.fixture.metadata, 'lookup');
    await readOne(others);
    for (const { arguments: args } of asked.mock.calls) assert.ok(args[0].includes(often));
    assert.equal(asked.mock.callCount(), others.length);
  });

  test('that many nodes read is published: they answer from copies, and what they answer counts', async (t) => {
    const { bucket, home, others, record } = await clusterOf(t);
    const rung = (): Rung => record()?.rung ?? 'none';
    await readUntil(others, () => rung() === 'publish', 'published');
    assert.match(record()?.reason ?? '', /reads\/s by 2 callers/);
    const { lists, stats } = bucket.asked;
    let before = 0;
    const isQuiet = (): boolean => {
      const now = others.reduce((sum, other) => sum + askedOwners(other), 0);
      const quiet = now === before && now > 0;
      before = now;
      return quiet;
    };
    await readUntil(others, isQuiet, 'nobody is asked any more');
    const answeredMs = systemClock.monotonicMs();
    await readUntil(others, () => systemClock.monotonicMs() - answeredMs > 3_000, 'read on');
    assert.equal(
      others.reduce((sum, other) => sum + askedOwners(other), 0),
      before,
      'no owner is asked',
    );
    assert.deepEqual(bucket.asked, { lists, stats }, 'nor the source');
    assert.equal(rung(), 'publish', 'it does not look cool because of it');
    const { directories } = await home.admin.dirs({ limit: 10 }, { signal: never });
    const hot = directories.find((one) => one.directory === directory);
    assert.equal(hot?.rung, 'publish');
    assert.equal(hot.callers, 2);
    assert.ok(hot.readsPerS > hotReadsPerS, `${hot.readsPerS} reads/s`);
  });

  test('that many want at once is copied from each other too, and all know their copies for the same', async (t) => {
    const { cluster, home, others } = await clusterOf(t);
    for (const id of ['d', 'e', 'f', 'g', 'h']) {
      const member = await cluster.add(id, { shards: 64, hotReadsPerS });
      for (const [source, bucket] of home.fixture.buckets) member.fixture.buckets.set(source, bucket);
      await member.fixture.metadata.refreshAttachments();
      others.push(member);
    }
    await home.admin['directory-set']({ path: directory, rung: 'publish', parts: null }, { signal: never });
    const hasCopy = ({ fixture }: ClusterMember): boolean =>
      fixture.metadata.directories.age(directory, null).seconds !== null;
    await readUntil(others, () => others.every(hasCopy), 'all have a copy');
    const askedOthers = others.flatMap(({ asked }) =>
      asked.filter(({ id, method }) => method === 'owner-copy' && id !== home.node.id),
    );
    assert.ok(askedOthers.length > 0, 'some were sent on');
    const whole = { path: directory, part: null, maxAgeSeconds: null, known: null, after: null };
    const stampOf = async ({ fixture }: ClusterMember): Promise<string> =>
      (await fixture.metadata.directories.copyPart(whole, never)).stamp;
    const stamp = await stampOf(home);
    for (const other of others) assert.equal(await stampOf(other), stamp);
    for (const other of others) await lookUp(other, paths);
  });

  test('that one node reads is shared out: the owners of its parts answer, from copies of those', async (t) => {
    const { bucket, home, others, record } = await clusterOf(t);
    const [reader, third] = others;
    assert.ok(reader !== undefined && third !== undefined);
    await readUntil([reader], () => record()?.rung === 'split', 'shared out');
    const owners = new Map<string, number>();
    for (const shard of record()?.shards ?? []) {
      const owner = home.node.view.ownerOf(shard)?.owner ?? '';
      owners.set(owner, (owners.get(owner) ?? 0) + 1);
    }
    assert.deepEqual([...owners.values()].sort(), [5, 5, 6]);
    const { lists, stats } = bucket.asked;
    reader.asked.splice(0);
    const isShared = (): boolean => {
      const last = reader.asked.splice(0).map(({ id }) => id);
      return last.includes(third.node.id) && last.filter((id) => id === home.node.id).length <= 1;
    };
    await readUntil([reader], isShared, 'both owners are asked');
    reader.asked.splice(0);
    await lookUp(reader, paths);
    const asked = reader.asked.map(({ id, method }) => `${id} ${method}`).sort();
    assert.deepEqual(asked, [`${home.node.id} owner-lookup`, `${third.node.id} owner-lookup`].sort());
    // Of its own parts it asks nobody.
    for (const [index, shard] of (record()?.shards ?? []).entries()) {
      if (reader.node.termOf(shard) === null) continue;
      const age = reader.fixture.metadata.directories.age(directory, { index, count: record()?.shards.length ?? 1 });
      assert.ok(age.seconds !== null, `part ${index}`);
    }
    assert.deepEqual(bucket.asked, { lists, stats }, 'the source is not asked');
    const [why, shards] = [reader.metadata.owner(paths[7] as string), record()?.shards ?? []];
    assert.deepEqual([why?.partitions, why?.shard], [16, shards[why?.partition ?? 0]]);
    const ownerOfPart = home.node.view.ownerOf(why?.shard ?? 0)?.owner;
    assert.equal(why?.node ?? reader.node.id, ownerOfPart);
    const answeredMs = systemClock.monotonicMs();
    await readUntil([reader], () => systemClock.monotonicMs() - answeredMs > 2_500, 'read on');
    const { directories } = await home.admin.dirs({ limit: 1 }, { signal: never });
    assert.equal(directories[0]?.callers, 1, 'owners of its parts are no callers');
  });

  test('of a name that is not in the part that was asked for, nobody says that it is not there', async (t) => {
    const { home, others, record } = await clusterOf(t);
    const [asker, owner] = others;
    assert.ok(asker !== undefined && owner !== undefined);
    await asker.admin['directory-set']({ path: directory, rung: 'split', parts: 4 }, { signal: never });
    const index = (record()?.shards ?? []).findIndex((shard) => owner.node.isNamed(shard));
    const [part, shard] = [{ index, count: 4 }, record()?.shards[index] ?? 0];
    const { attachment } = home.fixture.metadata.homeOf(directory, 'listing') ?? assert.fail();
    const ask = async (...wanted: readonly string[]) => {
      const term = owner.node.termOf(shard) ?? 0;
      const questions = [{ shard, term, attachment, part, paths: wanted }];
      const request = { from: asker.node.id, questions };
      return (await owner.handlers['owner-lookup'](request, { signal: never })).answers[0];
    };
    const isIn = (path: string): boolean => hashName(Buffer.from(path.slice(directory.length + 1))) % 4 === index;
    const inside = paths.find(isIn) ?? assert.fail();
    const outside = paths.find((path) => !isIn(path)) ?? assert.fail();
    const endMs = systemClock.monotonicMs() + 10_000;
    while (!('results' in ((await ask(inside)) ?? {}))) {
      assert.ok(systemClock.monotonicMs() < endMs, 'it has its part');
      await systemClock.sleep(10);
    }
    assert.deepEqual(await ask(inside, outside), { repartitioned: true });
    assert.deepEqual(await ask(inside, `/data${inside}`), { repartitioned: true });
  });

  test('is what an operator chooses, whatever its load, until it is left to its load again', async (t) => {
    const { bucket, home, others, record } = await clusterOf(t);
    const [any, reader] = others;
    assert.ok(any !== undefined && reader !== undefined);
    const choose = (rung: 'none' | 'publish' | 'split' | null, parts: number | null = null) =>
      any.admin['directory-set']({ path: directory, rung, parts }, { signal: never });
    const split = await choose('split', 8);
    assert.deepEqual([split.rung, split.isPinned, split.parts.length, split.missing], ['split', true, 8, []]);
    const { lists, stats } = bucket.asked;
    await lookUp(reader, paths);
    await assert.rejects(choose('split', 128), { code: 'invalid' });
    await assert.rejects(choose('split', 6), { code: 'invalid' });
    assert.equal((await choose('publish')).rung, 'publish');
    await lookUp(reader, paths);
    const merged = await choose('none');
    assert.deepEqual([merged.rung, merged.isPinned, merged.parts.length], ['none', true, 1]);
    const untilMs = systemClock.monotonicMs() + 2_500;
    await readUntil(others, () => systemClock.monotonicMs() > untilMs, 'read on');
    assert.equal(record()?.rung, 'none', 'hot, and left as it is');
    reader.asked.splice(0);
    await lookUp(reader, paths);
    assert.deepEqual(reader.asked, [{ id: home.node.id, method: 'owner-lookup' }], 'its home answers for all of it');
    assert.equal((await choose(null)).isPinned, false);
    await readUntil(others, () => record()?.rung === 'publish', 'published, as its load needs');
    assert.deepEqual(bucket.asked, { lists, stats }, 'the source was not asked');
    await assert.rejects(any.admin.directory({ path: '/nowhere' }, { signal: never }), { code: 'not-found' });
  });

  test('of an attachment that goes is forgotten', async (t) => {
    const { home, others, record } = await clusterOf(t);
    await readUntil(others, () => record() !== null, 'published');
    await home.metadata.handlers.detach({ path: '/data' }, { signal: never });
    const endMs = systemClock.monotonicMs() + 10_000;
    while (record() !== null) {
      assert.ok(systemClock.monotonicMs() < endMs, 'forgotten');
      await systemClock.sleep(20);
    }
  });
});
