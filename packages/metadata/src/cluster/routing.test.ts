import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';

import { unpackEntries } from '@millpool/protocol';

import { ClusterFixture } from '../testing/cluster-fixture.ts';
import type { ClusterMember } from '../testing/cluster-fixture.ts';
import { MemoryBucket } from '../testing/memory-bucket.ts';
import { never } from '../testing/node-fixture.ts';

const shards = 32;
const directories = Array.from({ length: 24 }, (_, at) => `class-${at}`);
const filesEach = 5;
/** What is in it shows that it is a directory. */
const listsEach = 1;
const ttl = { kind: 'ttl', seconds: 3_600 } as const;

function filledBucket(): MemoryBucket {
  const bucket = new MemoryBucket();
  for (const directory of directories) {
    for (let at = 0; at < filesEach; at += 1) bucket.put(`${directory}/${at}.jpg`, 100 + at);
  }
  return bucket;
}

async function clusterOf(t: TestContext, ...ids: readonly string[]): Promise<ClusterFixture> {
  const cluster = await ClusterFixture.start();
  t.after(() => cluster.remove());
  for (const id of ids) await cluster.add(id, { shards });
  return cluster;
}

async function attach({ fixture }: ClusterMember, source: string, path: string): Promise<void> {
  await fixture.attach(source, path, ttl);
}

async function kindsAt({ metadata }: ClusterMember, ...paths: readonly string[]): Promise<string[]> {
  const results = await metadata.lookup(paths, never);
  return results.map((result, at) => {
    if ('error' in result) return result.error.code;
    assert.equal(result.path, paths[at]);
    return result.type === 'file' ? `${result.type} ${Buffer.from(result.sourceKey).toString()}` : result.type;
  });
}

async function namesAt({ metadata }: ClusterMember, path: string): Promise<string[]> {
  const names: string[] = [];
  for (let cursor: string | null = null, more = true; more;) {
    const request = { path, recursive: false, cursor, limit: 2 };
    const page = await metadata.handlers.list(request, { signal: never });
    names.push(...unpackEntries(page.entries).map((entry) => entry.path));
    cursor = page.cursor;
    more = cursor !== null;
  }
  return names;
}

const [a, b, c] = ['a', 'b', 'c'] as const;

function memberOf(cluster: ClusterFixture, id: string): ClusterMember {
  return cluster.members.find(({ node }) => node.id === id) ?? assert.fail(id);
}

describe('the namespace of a cluster', () => {
  test('is the same at every node, and each directory is listed once, by its owner', async (t) => {
    const cluster = await clusterOf(t, a, b, c);
    const bucket = filledBucket();
    cluster.attachBucket(bucket);
    await attach(memberOf(cluster, a), bucket.source, '/data');
    await cluster.balance();
    for (const member of cluster.members) {
      await member.fixture.metadata.refreshAttachments();
      for (const directory of directories) {
        const wanted = Array.from({ length: filesEach }, (_, at) => `/data/${directory}/${at}.jpg`);
        assert.deepEqual(await namesAt(member, `/data/${directory}`), wanted);
      }
    }
    assert.equal(bucket.asked.lists, listsEach * directories.length);
    const stats = bucket.asked.stats;
    for (const member of cluster.members) {
      const paths = directories.flatMap((directory) => [`/data/${directory}/3.jpg`, `/data/${directory}/none`]);
      const kinds = await kindsAt(member, ...paths);
      assert.deepEqual(
        kinds,
        directories.flatMap((directory) => [`file ${directory}/3.jpg`, 'not-found']),
      );
      assert.ok(member.asked.some(({ method }) => method === 'owner-lookup'));
    }
    assert.equal(bucket.asked.lists, listsEach * directories.length);
    assert.equal(bucket.asked.stats, stats, 'owners know what is there and what is not');
    assert.deepEqual(await kindsAt(memberOf(cluster, b), '/', '/data', '/none', '/data/class-1'), [
      ...['directory', 'directory', 'not-found', 'directory'],
    ]);
    await assert.rejects(namesAt(memberOf(cluster, b), '/data/class-1/1.jpg'), /is a file/);
  });

  test('a node that knows of no move is told who has the shard now, and asks no third', async (t) => {
    const cluster = await clusterOf(t, a, b);
    const bucket = filledBucket();
    cluster.attachBucket(bucket);
    await attach(memberOf(cluster, a), bucket.source, '/data');
    await cluster.balance();
    const deaf = await cluster.add(c, { shards, isDeaf: true });
    cluster.attachBucket(bucket);
    const ownedByA = Array.from({ length: shards }, (_, shard) => shard).filter(
      (shard) => deaf.node.view.ownerOf(shard)?.owner === a,
    );
    const { admin, node } = memberOf(cluster, a);
    await admin['shards-move']({ shards: ownedByA, to: b }, { signal: never });
    while (ownedByA.some((shard) => node.view.ownerOf(shard)?.owner === a)) await node.view.refresh();
    assert.ok(
      ownedByA.every((shard) => deaf.node.view.ownerOf(shard)?.owner === a),
      'it has not heard of it',
    );
    const lists = bucket.asked.lists;
    for (const directory of directories) assert.equal((await namesAt(deaf, `/data/${directory}`)).length, filesEach);
    assert.equal(bucket.asked.lists, lists + listsEach * directories.length);
    assert.ok(deaf.asked.some(({ id }) => id === a));
    assert.ok(deaf.asked.some(({ id }) => id === b));
    const before = deaf.asked.length;
    await kindsAt(deaf, ...directories.map((directory) => `/data/${directory}/1.jpg`));
    assert.deepEqual(deaf.asked.slice(before), [{ id: b, method: 'owner-lookup' }]);
  });

  test('a node that has just attached a source is right at once, at owners that have not heard of it', async (t) => {
    const cluster = await clusterOf(t, a);
    await cluster.add(b, { shards, isDeaf: true });
    await cluster.balance();
    const bucket = filledBucket();
    cluster.attachBucket(bucket);
    const first = memberOf(cluster, a);
    await memberOf(cluster, b).node.view.refresh();
    await attach(first, bucket.source, '/data');
    assert.deepEqual(memberOf(cluster, b).metadata.attachments(), []);
    for (const directory of directories) assert.equal((await namesAt(first, `/data/${directory}`)).length, filesEach);
    assert.ok(first.asked.some(({ id }) => id === b));
    assert.equal(memberOf(cluster, b).metadata.attachments().length, 1);
    assert.equal(bucket.asked.lists, listsEach * directories.length);
  });

  test('a shard that moves takes its listings along: nothing is listed again', async (t) => {
    const cluster = await clusterOf(t, a);
    const bucket = filledBucket();
    cluster.attachBucket(bucket);
    const first = memberOf(cluster, a);
    await attach(first, bucket.source, '/data');
    for (const directory of directories) await namesAt(first, `/data/${directory}`);
    const { lists, stats } = bucket.asked;
    assert.equal(lists, listsEach * directories.length);
    for (const id of [b, c]) await cluster.add(id, { shards });
    cluster.attachBucket(bucket);
    await cluster.balance();
    for (const member of cluster.members) {
      await member.fixture.metadata.refreshAttachments();
      for (const directory of directories) {
        const wanted = Array.from({ length: filesEach }, (_, at) => `/data/${directory}/${at}.jpg`);
        assert.deepEqual(await kindsAt(member, `/data/${directory}/0.jpg`), [`file ${directory}/0.jpg`]);
        assert.deepEqual(await namesAt(member, `/data/${directory}`), wanted);
      }
    }
    assert.deepEqual(bucket.asked, { lists, stats });
    const owners = new Set(Array.from({ length: shards }, (_, shard) => first.node.view.ownerOf(shard)?.owner));
    assert.deepEqual(owners, new Set([a, b, c]));
  });

  test('a rebalance that has ended stays as it ended, whatever moves later', async (t) => {
    const cluster = await clusterOf(t, a, b);
    const { admin, node } = memberOf(cluster, a);
    await cluster.balance();
    const status = async () => (await admin['rebalance-status']({}, { signal: never })).rebalance;
    const ended = await status();
    assert.equal(ended?.done, ended?.moves);
    const [move] = node.view.rebalance?.moves ?? [];
    assert.ok(move !== undefined);
    await admin['shards-move']({ shards: [move.shard], to: move.from }, { signal: never });
    while (node.view.ownerOf(move.shard)?.owner !== move.from) await node.view.refresh();
    assert.deepEqual(await status(), ended);
  });

  test('what is asked is counted by owners, for who asked, and any node tells of all', async (t) => {
    const cluster = await clusterOf(t, a, b, c);
    const bucket = filledBucket();
    cluster.attachBucket(bucket);
    await attach(memberOf(cluster, a), bucket.source, '/data');
    await cluster.balance();
    for (const member of cluster.members) {
      await member.fixture.metadata.refreshAttachments();
      for (let round = 0; round < 20; round += 1) await kindsAt(member, '/data/class-3/1.jpg', '/data/class-3/none');
      await kindsAt(member, '/data/class-4/1.jpg');
    }
    const hot = (id: string) => memberOf(cluster, id).admin.dirs({ limit: 2 }, { signal: never });
    for (const id of [a, b, c]) {
      const { directories: told, missing } = await hot(id);
      assert.deepEqual(
        told.map(({ directory }) => directory),
        ['/data/class-3', '/data/class-4'],
      );
      const [first, second] = told;
      assert.equal(Math.round((first?.readsPerS ?? 0) / (second?.readsPerS ?? 1)), 40);
      assert.equal(first?.callers, 3);
      assert.equal(first?.owner, memberOf(cluster, a).node.view.ownerOf(first?.shard ?? -1)?.owner);
      assert.deepEqual(missing, []);
    }
    await memberOf(cluster, c).hangUp();
    assert.deepEqual((await hot(a)).missing, [c]);
  });

  test('where an owner cannot be reached, the source is asked, and the answer is the same', async (t) => {
    const cluster = await clusterOf(t, a, b);
    const bucket = filledBucket();
    cluster.attachBucket(bucket);
    const first = memberOf(cluster, a);
    await attach(first, bucket.source, '/data');
    await memberOf(cluster, b).hangUp();
    await cluster.balance();
    for (const directory of directories) {
      assert.deepEqual(await kindsAt(first, `/data/${directory}/1.jpg`, `/data/${directory}/none`), [
        ...[`file ${directory}/1.jpg`, 'not-found'],
      ]);
      assert.equal((await namesAt(first, `/data/${directory}`)).length, filesEach);
    }
    assert.ok(first.asked.every(({ id }) => id !== b));
  });

  test('two who attach at the same path, and neither has heard of the other: the second is refused', async (t) => {
    const cluster = await clusterOf(t, a);
    const deaf = await cluster.add(b, { shards, isDeaf: true });
    const [one, other] = [filledBucket(), new MemoryBucket('other/')];
    cluster.attachBucket(one);
    cluster.attachBucket(other);
    await attach(memberOf(cluster, a), one.source, '/data');
    await assert.rejects(attach(deaf, other.source, '/data'), /s3:\/\/memory is there/);
    await assert.rejects(attach(deaf, other.source, '/data/below'), /do not lie inside each other/);
    await attach(deaf, other.source, '/other');
    while (memberOf(cluster, a).metadata.attachments().length < 2) await memberOf(cluster, a).node.view.refresh();
    const ids = memberOf(cluster, a)
      .metadata.attachments()
      .map(({ id }) => id);
    assert.equal(new Set(ids).size, 2);
  });
});
