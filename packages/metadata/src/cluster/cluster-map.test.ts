import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';

import { always, MemoryStore } from '@millpool/coordination/testing';
import { systemClock } from '@millpool/host';
import type { MapRecord } from '@millpool/protocol';

import { ClusterFixture } from '../testing/cluster-fixture.ts';
import { MemoryBucket } from '../testing/memory-bucket.ts';
import { never } from '../testing/node-fixture.ts';
import { shardKey } from './shard-record.ts';

const shards = 16;
const ttl = { kind: 'ttl', seconds: 60 } as const;
const lost = 'attachment/data';

/** Two nodes, something attached, something drained, and the coordination store that a test spoils. */
async function bed(t: TestContext) {
  const cluster = await ClusterFixture.start();
  t.after(() => cluster.remove());
  const bucket = new MemoryBucket();
  const [first] = [await cluster.add('a', { shards }), await cluster.add('b', { shards })];
  cluster.attachBucket(bucket);
  await cluster.balance();
  await first.fixture.attach(bucket.source, '/data', ttl);
  await first.admin['directory-set']({ path: '/data', rung: 'publish', parts: null }, { signal: never });
  const store = new MemoryStore(cluster.state, systemClock);
  t.after(() => store.close());
  const put = (key: string, value: string) => store.txn(always({ kind: 'put', key, value: Buffer.from(value) }));
  const drop = (key: string) => store.txn(always({ kind: 'delete', key }));
  const map = async () => first.admin.map({}, { signal: never });
  const restore = async (records: readonly MapRecord[], isDryRun = false) =>
    first.admin['map-restore']({ records, isDryRun }, { signal: never });
  const until = async (what: string, isSo: () => boolean): Promise<void> => {
    const endMs = systemClock.monotonicMs() + 10_000;
    for (; !isSo(); await systemClock.sleep(10)) assert.ok(systemClock.monotonicMs() < endMs, what);
  };
  return { cluster, first, put, drop, map, restore, until };
}

describe('the map of a cluster', () => {
  test('has what is nowhere else, and puts back what is damaged or missing, and no more', async (t) => {
    const { cluster, first, put, drop, map, restore, until } = await bed(t);
    const { records, damaged } = await map();
    const kinds = new Set(records.map(({ key }) => key.slice(0, key.lastIndexOf('/') + 1)));
    assert.deepEqual([...kinds].sort(), ['', 'attachment/', 'cluster/directory/', 'cluster/shard/']);
    assert.equal(records.filter(({ key }) => key.startsWith('cluster/shard/')).length, shards);
    assert.deepEqual(damaged, []);

    await put(shardKey(3), '{"owner":');
    await drop(lost);
    await drop('attachment-last');
    assert.deepEqual((await map()).damaged, [shardKey(3)]);
    await until('nobody has it', () => first.node.view.ownerOf(3) === null);
    const changedTerm = first.node.view.ownerOf(4)?.term ?? 0;
    await put(shardKey(4), JSON.stringify({ owner: 'b', term: changedTerm + 7 }));

    const planned = await restore(records, true);
    assert.equal((await map()).damaged.length, 1, 'a dry run changes nothing');
    assert.deepEqual([...planned.restored].sort(), ['attachment-last', lost, shardKey(3)].sort());
    assert.deepEqual([planned.changed, planned.refused], [[shardKey(4)], []]);
    assert.deepEqual(await restore(records), planned);
    assert.deepEqual((await restore(records)).restored, []);
    await until('it has an owner', () => first.node.view.ownerOf(3) !== null);
    const before = JSON.parse(records.find(({ key }) => key === shardKey(3))?.value ?? '{}') as { term: number };
    assert.ok((first.node.view.ownerOf(3)?.term ?? 0) > before.term, 'in a term that nobody knew');
    for (const { fixture } of cluster.members) {
      await fixture.metadata.refreshAttachments();
      assert.deepEqual(
        fixture.metadata.attachments().map(({ id, path }) => [id, path]),
        [[1, '/data']],
      );
    }
  });

  test('with one damaged shard, all others of a node that leaves get owners nevertheless', async (t) => {
    const { cluster, first, put, until } = await bed(t);
    const second = cluster.members.find(({ node }) => node.id === 'b') ?? assert.fail();
    const theirs = Array.from({ length: shards }, (_, at) => at).filter((at) => second.node.isNamed(at));
    const [spoilt, ...others] = theirs;
    assert.ok(spoilt !== undefined && others.length > 2);
    await put(shardKey(spoilt), 'nonsense');
    await second.node.stop();
    await until('they are owned', () => others.every((at) => first.node.termOf(at) !== null));
    assert.equal(first.node.termOf(spoilt), null);
  });

  test('gives no number to two attachments, and takes nothing that it does not know', async (t) => {
    const { cluster, first, drop, map, restore } = await bed(t);
    const { records } = await map();
    await drop(lost);
    await drop('attachment-last');
    await first.fixture.metadata.refreshAttachments();
    const bucket = new MemoryBucket('other/');
    cluster.attachBucket(bucket);
    await first.fixture.attach(bucket.source, '/other', ttl);
    const { restored, refused } = await restore(records);
    assert.deepEqual(restored, []);
    assert.match(refused[0]?.message ?? '', /attachment\/data has the number that attachment\/other has got since/);
    for (const record of [
      { key: 'cluster/node/a', value: '{}' },
      { key: shardKey(1), value: '{"owner":7}' },
      { key: 'attachment-last', value: 'many' },
    ]) {
      await assert.rejects(restore([record]), { code: 'invalid' });
    }
  });
});
