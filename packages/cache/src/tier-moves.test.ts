import assert from 'node:assert/strict';
import { test } from 'node:test';

import { pickMoves, pickSlowVictims } from './tier-moves.ts';
import type { TierMoves, TierTenant } from './tier-moves.ts';
import type { SegmentFacts } from './victims.ts';

const room = { fastBytes: 1000, slowBytes: 1000, aheadBytes: 200 };

function segment(number: number, facts: Partial<SegmentFacts>): SegmentFacts {
  return {
    number,
    generation: 1,
    identity: 'a',
    device: 0,
    tier: 'fast',
    bytes: 100,
    liveBytes: 100,
    pinnedBytes: 0,
    sealed: true,
    idleSeconds: 5_000,
    reads: 0,
    ...facts,
  };
}

function tenant(identity: string, facts: Partial<TierTenant> = {}): TierTenant {
  return { identity, keeps: false, isPlanned: false, isFilling: false, ...facts };
}

function numbers({ toSlow, toFast }: TierMoves): Record<keyof TierMoves, number[]> {
  return { toSlow: toSlow.map(({ number }) => number), toFast: toFast.map(({ number }) => number) };
}

const worths = (...of: readonly (readonly [number, number])[]): ReadonlyMap<string, number> =>
  new Map(of.map(([number, worth]) => [`${number}.1`, worth]));

test('while something comes in, the unplanned and longest unread moves down, as much as it needs and no more', () => {
  const segments = [
    segment(1, { identity: 'a', idleSeconds: 10 }),
    segment(2, { identity: 'b', idleSeconds: 90 }),
    segment(3, { identity: 'b', idleSeconds: 80 }),
    segment(4, { identity: 'kept', idleSeconds: 900 }),
    segment(5, { identity: 'b', idleSeconds: 99, sealed: false }),
    segment(6, { identity: 'b', idleSeconds: 99, pinnedBytes: 1 }),
    segment(7, { identity: 'planned', idleSeconds: 99 }),
  ];
  const others = [tenant('b'), tenant('kept', { keeps: true }), tenant('planned', { isPlanned: true })];
  const tenants = [tenant('a', { isFilling: true }), ...others];
  const short = { ...room, fastBytes: 50 };
  const known = worths([7, 1]);
  assert.deepEqual(numbers(pickMoves(segments, tenants, known, short)), { toSlow: [2, 3], toFast: [] });
  const little = { ...short, slowBytes: 150 };
  assert.deepEqual(numbers(pickMoves(segments, tenants, known, little)), { toSlow: [2], toFast: [] });
  const enough = { ...room, fastBytes: 200 };
  assert.deepEqual(numbers(pickMoves(segments, tenants, known, enough)), { toSlow: [], toFast: [] });
});

test('who comes in moves its own down where all is planned, what is read last first', () => {
  const segments = [segment(1, {}), segment(2, {}), segment(3, {}), segment(4, { identity: 'b' })];
  const tenants = [tenant('a', { isFilling: true, isPlanned: true }), tenant('b', { isPlanned: true })];
  const known = worths([1, 30], [2, 10], [3, 20], [4, 1]);
  const full = { ...room, fastBytes: 0 };
  assert.deepEqual(numbers(pickMoves(segments, tenants, known, full)), { toSlow: [2, 3], toFast: [] });
});

test('what plans read moves up into free room, the soonest first, and what is pinned before it', () => {
  const slow = [
    segment(1, { tier: 'slow' }),
    segment(2, { tier: 'slow' }),
    segment(3, { tier: 'slow', identity: 'other' }),
  ];
  const tenants = [tenant('a', { isPlanned: true }), tenant('other')];
  const known = worths([1, 10], [2, 20]);
  assert.deepEqual(numbers(pickMoves(slow, tenants, known, room)), { toSlow: [], toFast: [2] });
  const pinned = [...slow, segment(4, { tier: 'slow', pinnedBytes: 100 })];
  assert.deepEqual(numbers(pickMoves(pinned, tenants, known, room)), { toSlow: [], toFast: [4] });
  assert.deepEqual(numbers(pickMoves(slow, tenants, new Map(), room)), { toSlow: [], toFast: [] });
});

test('without free room what is planned takes the place of what no plan reads, and never of what is planned', () => {
  const up = segment(1, { tier: 'slow' });
  const planned = segment(2, {});
  const idle = segment(3, { identity: 'other', idleSeconds: 61 });
  const read = segment(4, { identity: 'other', idleSeconds: 59 });
  const tenants = [tenant('a', { isPlanned: true }), tenant('other')];
  const known = worths([1, 1000], [2, 1]);
  const full = { ...room, fastBytes: 0 };
  assert.deepEqual(numbers(pickMoves([up, planned, idle, read], tenants, known, full)), { toSlow: [3], toFast: [] });
  assert.deepEqual(numbers(pickMoves([up, planned], tenants, known, full)), { toSlow: [], toFast: [] });
  // Of an identity that is planned in part, a segment of which no sample was weighed may be read still.
  const unweighed = segment(5, { idleSeconds: 599 });
  assert.deepEqual(numbers(pickMoves([up, unweighed], tenants, known, full)), { toSlow: [], toFast: [] });
  const unread = segment(5, { idleSeconds: 600 });
  assert.deepEqual(numbers(pickMoves([up, unread], tenants, known, full)), { toSlow: [5], toFast: [] });
});

test('the slow tier gives up what nobody uses, then of a sieve what was read longest ago, and nothing pinned', () => {
  const segments = [
    segment(1, { tier: 'slow', identity: 'sieve', idleSeconds: 900 }),
    segment(2, { tier: 'slow', identity: 'gone', idleSeconds: 10 }),
    segment(3, { tier: 'slow', identity: 'kept', idleSeconds: 999 }),
    segment(4, { tier: 'slow', identity: 'gone', pinnedBytes: 1 }),
    segment(5, { tier: 'fast', identity: 'gone' }),
    segment(6, { tier: 'slow', identity: 'sieve', idleSeconds: 950 }),
  ];
  const whose = { unused: new Set(['gone']), sieving: new Set(['sieve']) };
  const picked = (bytes: number): number[] => pickSlowVictims(segments, whose, bytes).map(({ number }) => number);
  assert.deepEqual(picked(50), [2]);
  assert.deepEqual(picked(150), [2, 6]);
  assert.deepEqual(picked(1000), [2, 6, 1]);
  assert.deepEqual(picked(0), []);
});
