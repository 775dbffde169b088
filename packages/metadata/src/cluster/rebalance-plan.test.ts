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
