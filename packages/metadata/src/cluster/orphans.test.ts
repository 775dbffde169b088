import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import type { OwnedShard } from './cluster-view.ts';
import { adoptionsOf } from './orphans.ts';

const owned = (owner: string): OwnedShard => ({ owner, term: 1, modRevision: 1 });

test('what has a living owner stays, all else gets one, and none gets more than it must', () => {
  const ids: fc.Arbitrary<string> = fc.constantFrom('a', 'b', 'c', 'd', 'e');
  const owners = fc.array(fc.option(ids.map(owned), { nil: null }), { minLength: 1, maxLength: 64 });
  fc.assert(
    fc.property(owners, fc.uniqueArray(ids, { minLength: 1 }), fc.nat(), ids, (before, nodes, left, away) => {
      const takers = nodes.slice(left % nodes.length);
      const adoptions = adoptionsOf({ owners: before, nodes, awaited: [away], takers });
      const keeping = [...nodes, away];
      const after = before.map((owner) => owner?.owner ?? null);
      for (const { shard, from, to } of adoptions) {
        assert.equal(from, before[shard]);
        assert.ok(from === null || !keeping.includes(from.owner));
        assert.ok(takers.includes(to), `${to} is not to have any`);
        after[shard] = to;
      }
      assert.ok(after.every((owner) => owner !== null && keeping.includes(owner)));
      const count = (id: string): number => after.filter((owner) => owner === id).length;
      const adopters = new Set(adoptions.map(({ to }) => to));
      const fewest = Math.min(...takers.map(count));
      for (const id of adopters) assert.ok(count(id) <= fewest + 1, `${id} has ${count(id)}, another ${fewest}`);
    }),
  );
});

test('with nobody there, nothing is given away', () => {
  assert.deepEqual(adoptionsOf({ owners: [null, owned('a')], nodes: [], awaited: [], takers: [] }), []);
});
