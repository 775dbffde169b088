import assert from 'node:assert/strict';
import { test } from 'node:test';

import { rebalancePlanOf } from './rebalance-plan.ts';

/** Owners after the plan. */
function after(owners: readonly (string | null)[], nodes: readonly string[]): (string | null)[] {
  const moved = [...owners];
  for (const { shard, from, to } of rebalancePlanOf({ owners, nodes })) {
    assert.equal(moved[shard], from, 'each shard once');
    moved[shard] = to;
  }
  return moved;
}

function countsOf(owners: readonly (string | null)[], nodes: readonly string[]): number[] {
  return nodes.map((id) => owners.filter((owner) => owner === id).length);
}

test('a node that joins gets its share, and nothing else moves', () => {
  const owners = Array.from({ length: 12 }, (_, shard) => (shard % 3 === 0 ? 'c' : shard % 3 === 1 ? 'a' : 'b'));
  const moves = rebalancePlanOf({ owners, nodes: ['a', 'b', 'c', 'd'] });
  assert.deepEqual(
    moves.map(({ from, to }) => [from, to]),
    [
      ['c', 'd'],
      ['a', 'd'],
      ['b', 'd'],
    ],
  );
});

test('a node that is left out gives away all, and shards without an owner stay so', () => {
  const owners = ['a', 'b', null, 'a', 'b', 'a'];
  assert.deepEqual(after(owners, ['b']), ['b', 'b', null, 'b', 'b', 'b']);
  assert.deepEqual(rebalancePlanOf({ owners, nodes: [] }), []);
});

test('it ends even, moves the fewest that come to that, and has nothing to do then: many shapes', () => {
  let state = 1;
  const below = (end: number): number => (state = (state * 48_271) % 2_147_483_647) % end;
  for (let round = 0; round < 500; round += 1) {
    const nodes = Array.from({ length: 1 + below(9) }, (_, n) => `node-${n}`);
    const all = [...nodes, 'gone', null];
    const owners = Array.from({ length: below(200) }, () => all[below(1 + below(all.length))] ?? null);
    const moved = after(owners, nodes);
    const counts = countsOf(moved, nodes);
    assert.ok(Math.max(...counts) - Math.min(...counts) <= 1, counts.join());
    // Whoever has more than the most that one may have must give, and so must all who are left out.
    const total = owners.filter((owner) => owner !== null).length;
    const [least, odd] = [Math.floor(total / nodes.length), total % nodes.length];
    const had = countsOf(owners, nodes).sort((one, other) => other - one);
    const kept = had.reduce((sum, count, place) => sum + Math.min(count, place < odd ? least + 1 : least), 0);
    assert.equal(rebalancePlanOf({ owners, nodes }).length, total - kept);
    assert.deepEqual(rebalancePlanOf({ owners: moved, nodes }), []);
  }
});

test('of many shards each is little, and a node that has all of them gives away what is too much', () => {
  for (const joined of [1, 2, 4, 15, 63]) {
    const nodes = ['full', ...Array.from({ length: joined }, (_, n) => `new-${n}`)];
    const owners = Array.from({ length: 1_024 }, () => 'full');
    const counts = countsOf(after(owners, nodes), nodes);
    const mean = owners.length / nodes.length;
    assert.ok(Math.max(...counts) - Math.min(...counts) <= Math.max(1, 0.01 * mean), counts.join());
  }
});

/** What each node has of something that is given by shard. */
function sumsOf(owners: readonly (string | null)[], nodes: readonly string[], amounts: readonly number[]): number[] {
  return nodes.map((id) => owners.reduce((sum, owner, shard) => sum + (owner === id ? (amounts[shard] ?? 0) : 0), 0));
}

function maxOverMean(sums: readonly number[]): number {
  return Math.max(...sums) / (sums.reduce((sum, one) => sum + one, 0) / sums.length);
}

test('what is in shards and asked of them is spread as well, with few moves, and settles: many shapes', () => {
  let state = 7;
  const below = (end: number): number => (state = (state * 48_271) % 2_147_483_647) % end;
  for (let round = 0; round < 200; round += 1) {
    const nodes = Array.from({ length: 2 + below(6) }, (_, n) => `node-${n}`);
    const owners = Array.from({ length: 256 }, () => nodes[below(nodes.length)] ?? null);
    const contents = owners.map((_, shard) => ({
      shard,
      entries: below(1_000_000),
      bytes: 0,
      readsPerS: below(1_000),
    }));
    const plan = rebalancePlanOf({ owners, nodes, contents });
    const moved = [...owners];
    for (const { shard, from, to } of plan) {
      assert.equal(moved[shard], from, 'each shard once');
      moved[shard] = to;
    }
    const weighed = contents.map(({ entries, readsPerS }) => (entries + 10_000) / 510_000 + (readsPerS + 100) / 600);
    assert.ok(maxOverMean(sumsOf(moved, nodes, weighed)) < 1.03, `round ${round}`);
    assert.ok(plan.length < owners.length / 3, `${plan.length} moves in round ${round}`);
    const again = rebalancePlanOf({ owners: moved, nodes, contents });
    assert.ok(again.length === 0, `${again.length} more in round ${round}`);
  }
});

test('little that is in shards is as nothing, and a node whose one shard has most gives others away', () => {
  const owners = Array.from({ length: 64 }, (_, shard) => `node-${shard % 2}`);
  const nodes = ['node-0', 'node-1'];
  const contentOf = (shard: number, entries: number) => ({ shard, entries, bytes: 0, readsPerS: 0 });
  assert.deepEqual(rebalancePlanOf({ owners, nodes, contents: [contentOf(0, 40), contentOf(2, 99)] }), []);
  const plan = rebalancePlanOf({ owners, nodes, contents: [contentOf(0, 100_000_000)] });
  assert.ok(plan.every(({ shard, from }) => shard !== 0 && from === 'node-0'));
  assert.ok(plan.length > 0 && plan.length < 32);
});
