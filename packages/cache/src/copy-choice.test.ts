import assert from 'node:assert/strict';
import { test } from 'node:test';

import { chooseCopy, mayBeWorthCopying } from './copy-choice.ts';
import type { Candidate } from './copy-choice.ts';
import { WriteBudget } from './write-budget.ts';

let last = 0;

function candidate(packedBytes: number, facts: Partial<Candidate> = {}): Candidate {
  const place = { device: 0, tier: 'fast' } as const;
  const rest = { ...place, bytes: 100, liveBytes: packedBytes, pinnedBytes: 0, sealed: true, idleSeconds: 10 };
  return { number: ++last, generation: 1, identity: 'a', reads: 0, packedBytes, ...rest, ...facts };
}

const enough = { budgetBytes: 1_000, roomBytes: 1_000, comingBytes: 0 };

test('what has the least live is copied first, and what frees too little never', () => {
  const [least, half, whole] = [candidate(10), candidate(50), candidate(76)];
  assert.deepEqual(chooseCopy([whole, half, least], enough), { kind: 'copy', segment: least });
  assert.deepEqual(chooseCopy([whole], enough), { kind: 'wait', lacking: 'garbage' });
  assert.deepEqual(chooseCopy([candidate(10, { sealed: false })], enough), { kind: 'wait', lacking: 'garbage' });
});

test('padding is no garbage: a segment of tiny files that are all live stays', () => {
  const padded = candidate(98, { liveBytes: 40 });
  assert.ok(mayBeWorthCopying(padded));
  assert.deepEqual(chooseCopy([padded], enough), { kind: 'wait', lacking: 'garbage' });
  assert.ok(!mayBeWorthCopying(candidate(76)));
});

test('what is pinned is copied like anything else', () => {
  const pinned = candidate(40, { pinnedBytes: 40 });
  assert.deepEqual(chooseCopy([pinned], enough), { kind: 'copy', segment: pinned });
});

test('it waits for the budget, and no more live segment is taken instead', () => {
  const choice = chooseCopy([candidate(30), candidate(60)], { ...enough, budgetBytes: 29 });
  assert.deepEqual(choice, { kind: 'wait', lacking: 'budget' });
});

test('without room one is given up, where that loses little beside what the others free', () => {
  const none = { ...enough, roomBytes: 0 };
  const least = candidate(10);
  const others = [candidate(50), candidate(50)];
  assert.deepEqual(chooseCopy([least, ...others], none), { kind: 'give-up', segment: least });
  assert.deepEqual(chooseCopy([candidate(26), ...others], none), { kind: 'wait', lacking: 'room' });
  assert.deepEqual(chooseCopy([candidate(10, { pinnedBytes: 1 }), ...others], none), { kind: 'wait', lacking: 'room' });
  assert.deepEqual(chooseCopy([least], none), { kind: 'wait', lacking: 'room' });
  const coming = { ...none, comingBytes: 1 };
  assert.deepEqual(chooseCopy([least, ...others], coming), { kind: 'wait', lacking: 'room' });
});

test('copying writes no more than its share of what is fetched, and saves no more than its share of the cache', () => {
  const budget = new WriteBudget(0.25);
  budget.earn(400, 1_000);
  assert.equal(budget.leftBytes, 100);
  budget.spend(60);
  budget.earn(480, 1_000);
  assert.equal(budget.leftBytes, 60);
  budget.earn(1_000_000, 1_000);
  assert.equal(budget.leftBytes, 250);
  budget.spend(1_000);
  assert.equal(budget.leftBytes, 0);
});
