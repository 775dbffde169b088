import assert from 'node:assert/strict';
import { test } from 'node:test';

import { SieveHand } from './sieve-hand.ts';
import type { SegmentFacts } from './victims.ts';

function segment(number: number, reads = 0): SegmentFacts {
  const rest = {
    identity: 'a',
    device: 0,
    tier: 'fast' as const,
    bytes: 1,
    liveBytes: 1,
    pinnedBytes: 0,
    sealed: true,
    idleSeconds: 0,
    generation: 1,
  };
  return { number, reads, ...rest };
}

function numbers(victims: readonly SegmentFacts[]): number[] {
  return victims.map(({ number }) => number);
}

test('the hand passes over what was read since it last passed, and takes what was not', () => {
  const hand = new SieveHand();
  const segments = [segment(1), segment(2, 5), segment(3), segment(4, 1)];
  assert.deepEqual(numbers(hand.pick(segments, 1)), [1]);
  assert.deepEqual(numbers(hand.pick(segments.slice(1), 1)), [3]);
  // 4 is passed over once, and 5 was never read.
  assert.deepEqual(numbers(hand.pick([segment(2, 5), segment(4, 1), segment(5)], 1)), [5]);
  assert.deepEqual(numbers(hand.pick([segment(2, 6), segment(4, 1)], 1)), [4]);
});

test('when all were read the oldest goes, and newcomers stand at the end', () => {
  const hand = new SieveHand();
  hand.pick([segment(7, 1), segment(3, 1)], 0);
  assert.deepEqual(numbers(hand.pick([segment(1, 1), segment(3, 1), segment(7, 1)], 2)), [7, 3]);
});

test('it takes as much as is wanted and what is sealed, at most all', () => {
  const hand = new SieveHand();
  const open = { ...segment(1), sealed: false };
  assert.deepEqual(numbers(hand.pick([open, segment(2), segment(3)], Infinity)), [2, 3]);
});
