import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';

import { silentLog, systemClock } from '@millpool/host';

import { ClusterFixture } from '../testing/cluster-fixture.ts';
import type { ClusterMember } from '../testing/cluster-fixture.ts';
import { MemoryBucket } from '../testing/memory-bucket.ts';
import { never } from '../testing/node-fixture.ts';
import { offerListings } from './moved-listings.ts';

const shards = 16;
const sizes = { few: 5, some: 300, many: 2_000 } as const;

/** Two nodes with the same number of shards, and directories of known sizes that their owners have listed. */
async function bed(t: TestContext): Promise<{ readonly members: readonly [ClusterMember, ClusterMember] }> {
  const cluster = await ClusterFixture.start();
  t.after(() => cluster.remove());
  const one = await cluster.add('one', { shards });
  const two = await cluster.add('two', { shards });
  await cluster.balance();
  const bucket = new MemoryBucket('pre/');
  for (const [name, count] of Object.entries(sizes)) {
    for (let at = 0; at < count; at += 1) bucket.put(`pre/${name}/${at}`, at);
  }
  cluster.attachBucket(bucket);
  await one.fixture.attach(bucket.source, '/d');
  for (const name of Object.keys(sizes)) {
    await two.metadata.handlers.list(
      { path: `/d/${name}`, recursive: false, cursor: null, limit: 1 },
      { signal: never },
    );
  }
  return { members: [one, two] };
}

describe('what is in the shards of a cluster', () => {
  test('is told by their owners, whoever is asked, and a plan says what of it would move', async (t) => {
    const { members } = await bed(t);
    for (const { admin } of members) {
      const { entries, bytes, moves, missing } = await admin['rebalance-plan']({}, { signal: never });
      assert.deepEqual([moves, missing, entries.moved, bytes.moved], [[], [], 0, 0]);
      assert.ok(entries.maxOverMean >= 1 && entries.maxOverMean === entries.maxOverMeanAfter);
    }
    const [one, two] = members;
    await one.admin.drain({ node: 'two', atOnce: 4, bytesPerSecond: null }, { signal: never });
    await one.admin['rebalance-cancel']({}, { signal: never });
    const owned = await contentsOf(two);
    const { entries, bytes, moves } = await one.admin['rebalance-plan']({}, { signal: never });
    assert.deepEqual(new Set(moves.map(({ from, to }) => `${from} ${to}`)), new Set(['two one']));
    assert.equal(entries.moved, owned.entries);
    assert.ok(owned.entries === 0 || bytes.moved > 10 * owned.entries);
    const all = owned.entries + (await contentsOf(one)).entries;
    assert.equal(all, sizes.few + sizes.some + sizes.many);
  });

  test('counts a node that does not tell as empty, and names it', async (t) => {
    const { members } = await bed(t);
    await members[1].hangUp();
    const { missing } = await members[0].admin['rebalance-plan']({}, { signal: never });
    assert.deepEqual(missing, ['two']);
  });

  test('moves no faster than it may', async (t) => {
    const { members } = await bed(t);
    const [one, two] = members;
    const slept: number[] = [];
    const clock = { ...systemClock, sleep: async (ms: number) => void slept.push(ms) };
    for (const [from, to] of [
      [one, 'two'],
      [two, 'one'],
    ] as const) {
      const offer = offerListings({
        node: from.node,
        local: from.fixture.metadata,
        peers: from.peers,
        clock,
        log: silentLog,
      });
      const { bytesAName, names } = await from.fixture.metadata.directories.kept(never);
      for (let shard = 0; shard < shards; shard += 1) {
        if (!from.node.isNamed(shard)) continue;
        slept.length = 0;
        await offer({ shard, to, bytesPerSecond: 1_000 }, never);
        const seconds = slept.reduce((sum, ms) => sum + ms, 0) / 1_000;
        const expected = ((names.get(shard) ?? 0) * bytesAName) / 1_000;
        assert.ok(Math.abs(seconds - expected) < 1e-6, `${seconds} s for ${expected}`);
        await offer({ shard, to, bytesPerSecond: null }, never);
      }
    }
  });
});

async function contentsOf({ handlers }: ClusterMember): Promise<{ readonly entries: number }> {
  const { shards: told } = await handlers['owner-shards']({}, { signal: never });
  return { entries: told.reduce((sum, { entries }) => sum + entries, 0) };
}
