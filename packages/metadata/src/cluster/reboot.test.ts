import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';

import { MemoryState, MemoryStore } from '@millpool/coordination/testing';
import { silentLog } from '@millpool/host';
import { HandClock } from '@millpool/host/testing';

import { ClusterAdmin } from './cluster-admin.ts';
import { ClusterNode } from './cluster-node.ts';

const shards = 8;
const never = new AbortController().signal;
const graceMs = 60_000;

/** Time passes until it has ended. */
async function passing<T>(clock: HandClock, work: Promise<T>): Promise<T> {
  const state = { isOver: false };
  const over = work.finally(() => (state.isOver = true));
  while (!state.isOver) await clock.advance(100);
  return over;
}

/** Nodes `one` and `two` that share all shards, and who owns what after some time. */
async function bed(t: TestContext) {
  const clock = new HandClock();
  const store = new MemoryStore(new MemoryState(), clock);
  const closes: (() => Promise<void>)[] = [];
  t.after(async () => {
    for (const close of closes) await close();
    await store.close();
  });
  const start = async (id: string) => {
    const record = { id, address: `${id}:7070`, version: '0.0.0', roles: ['metadata'] } as const;
    const parts = { store, clock, log: silentLog };
    const node = await passing(clock, ClusterNode.start({ node: record, shards, ...parts }));
    const nothing = { contents: [], missing: [] };
    const admin = new ClusterAdmin({ id, view: node.view, contents: async () => nothing, ...parts }).handlers;
    let isStopped = false;
    const stop = async (ms: number): Promise<void> => {
      if (isStopped) return;
      isStopped = true;
      await passing(clock, node.stop(ms));
    };
    closes.push(() => stop(0));
    return { node, admin, stop };
  };
  const one = await start('one');
  const two = await start('two');
  await one.admin['rebalance-run']({ atOnce: 8, bytesPerSecond: null }, { signal: never });
  await clock.advance(10_000);
  const owners = (): string[] =>
    Array.from({ length: shards }, (_, shard) => one.node.view.ownerOf(shard)?.owner ?? '');
  const countOf = (id: string): number => owners().filter((owner) => owner === id).length;
  assert.deepEqual([countOf('one'), countOf('two')], [4, 4]);
  return { clock, one, two, start, owners, countOf };
}

describe('the shards of a node that was stopped', () => {
  test('wait for it, and are its own when it is back', async (t) => {
    const { clock, one, two, start, owners } = await bed(t);
    const before = owners();
    await two.stop(graceMs);
    await clock.advance(50_000);
    assert.deepEqual(owners(), before);
    const [, away] = (await one.admin.nodes({}, { signal: never })).nodes;
    assert.equal(away?.joinedAt, null);
    assert.ok(Date.parse(away.awaitedUntil ?? '') > clock.nowMs());
    const { moves } = await one.admin['rebalance-plan']({}, { signal: never });
    assert.deepEqual(moves, [], 'no plan touches them');
    const again = await start('two');
    await clock.advance(20_000);
    assert.deepEqual(owners(), before);
    assert.ok(before.every((owner, shard) => owner !== 'two' || again.node.termOf(shard) !== null));
    const [, back] = (await one.admin.nodes({}, { signal: never })).nodes;
    assert.equal(back?.awaitedUntil, null);
  });

  test('have others when the grace is over', async (t) => {
    const { clock, two, countOf } = await bed(t);
    await two.stop(graceMs);
    await clock.advance(graceMs + 5_000);
    assert.equal(countOf('one'), shards);
  });

  test('have others as soon as an operator drains it, or at once without a grace', async (t) => {
    for (const isTold of [true, false]) {
      const { clock, one, two, countOf } = await bed(t);
      await two.stop(isTold ? graceMs : 0);
      const pace = { atOnce: 8, bytesPerSecond: null };
      if (isTold) await one.admin.drain({ node: 'two', ...pace }, { signal: never });
      await clock.advance(5_000);
      assert.equal(countOf('one'), shards, isTold ? 'told' : 'no grace');
    }
  });
});
