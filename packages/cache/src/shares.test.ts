import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { dealShares } from './shares.ts';
import type { Claim } from './shares.ts';

function claim(identity: string, bytesPerSecond: number | null, needBytes = Infinity): Claim {
  return { identity, bytesPerSecond, needBytes };
}

function dealt(capacityBytes: number, ...claims: readonly Claim[]): Record<string, number> | null {
  const shares = dealShares(capacityBytes, claims);
  return shares === null ? null : Object.fromEntries(shares);
}

test('nothing is dealt as long as all fit', () => {
  assert.equal(dealt(100, claim('a', 5, 60), claim('b', 1, 40)), null);
  assert.deepEqual(dealt(100, claim('a', 5, 60), claim('b', 5, 41)), { a: 59, b: 41 });
});

test('shares are by bytes read a second, and a pause leaves a tenth of the weight of who reads most', () => {
  assert.deepEqual(dealt(100, claim('a', 30), claim('b', 10)), { a: 75, b: 25 });
  assert.deepEqual(dealt(110, claim('a', 30), claim('b', 0)), { a: 100, b: 10 });
  assert.deepEqual(dealt(100, claim('a', 0), claim('b', 0)), { a: 50, b: 50 });
});

test('a newcomer counts as much as the others on average until its rate is known', () => {
  assert.deepEqual(dealt(90, claim('a', 20), claim('b', 40), claim('new', null)), { a: 20, b: 40, new: 30 });
  assert.deepEqual(dealt(90, claim('a', null), claim('b', null)), { a: 45, b: 45 });
});

test('nobody gets more than it needs, and the others share what is left', () => {
  assert.deepEqual(dealt(100, claim('small', 50, 10), claim('a', 20), claim('b', 10)), { small: 10, a: 60, b: 30 });
});

test('whatever is claimed, the whole cache is dealt and nobody gets more than it needs', () => {
  const someone = fc.record({
    bytesPerSecond: fc.option(fc.double({ min: 0, max: 1e10, noNaN: true }), { nil: null }),
    needBytes: fc.oneof(fc.integer({ min: 0, max: 1000 }), fc.constant(Infinity)),
  });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2000 }), fc.array(someone, { maxLength: 6 }), (capacity, some) => {
      const claims = some.map((one, i) => ({ identity: String(i), ...one }));
      const shares = dealShares(capacity, claims);
      if (shares === null) return assert.ok(claims.reduce((sum, { needBytes }) => sum + needBytes, 0) <= capacity);
      assert.ok(Math.abs([...shares.values()].reduce((sum, share) => sum + share, 0) - capacity) < 1e-6 * capacity);
      for (const { identity, needBytes } of claims) assert.ok((shares.get(identity) ?? NaN) <= needBytes);
    }),
  );
});
