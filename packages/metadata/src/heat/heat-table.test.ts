import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { randomOf } from '../testing/random.ts';
import { HeatTable } from './heat-table.ts';

const halfLifeMs = 10_000;

interface Counted {
  readonly directory: string;
  readonly reads: number;
  readonly writes: number;
  readonly atMs: number;
}

/** By the definition: each operation has halved once a half-life. */
function rateSlowly(counted: readonly Counted[], of: (one: Counted) => number, nowMs: number): number {
  const sum = counted.reduce((total, one) => total + of(one) * 2 ** ((one.atMs - nowMs) / halfLifeMs), 0);
  return (sum * Math.LN2) / (halfLifeMs / 1_000);
}

/** What was counted hundreds of half-lives ago may be lost for want of smaller numbers. */
function assertClose(actual: number, expected: number): void {
  assert.ok(Math.abs(actual - expected) <= 1e-9 * Math.abs(expected) + 1e-150, `${actual} is not ${expected}`);
}

const gapMs = fc.oneof(fc.nat(50), fc.double({ min: 0, max: 30_000, noNaN: true }), fc.integer({ min: 0, max: 2e7 }));
const operation = fc.record({ directory: fc.constantFrom('a', 'b', 'c'), kind: fc.nat(2), many: fc.nat(5_000), gapMs });

test('rates are those of a model that keeps each operation, over moves of the landmark too', () => {
  const steps = fc.array(operation, { minLength: 1, maxLength: 60 });
  fc.assert(
    fc.property(steps, gapMs, fc.nat(1e9), (operations, rest, startMs) => {
      const table = new HeatTable(4, halfLifeMs);
      const counted: Counted[] = [];
      let nowMs = startMs;
      for (const { directory, kind, many, gapMs: gap } of operations) {
        nowMs += gap;
        if (kind === 0) table.countLookup(directory, many, 1, nowMs);
        if (kind === 1) table.countReads(directory, many, 1, nowMs);
        if (kind === 2) table.countWrites(directory, many, 1, nowMs);
        const [reads, writes] = kind === 2 ? [0, many] : [kind === 0 ? 1 : many, 0];
        counted.push({ directory, reads, writes, atMs: nowMs });
      }
      nowMs += rest;
      for (const directory of new Set(counted.map((one) => one.directory))) {
        const its = counted.filter((one) => one.directory === directory);
        const heat = table.of(directory, nowMs);
        assert.ok(heat !== null);
        assertClose(
          heat.readsPerS,
          rateSlowly(its, ({ reads }) => reads, nowMs),
        );
        assertClose(
          heat.writesPerS,
          rateSlowly(its, ({ writes }) => writes, nowMs),
        );
      }
    }),
  );
});

test('a steady load shows as its rate, half of it after one half-life', () => {
  const table = new HeatTable(4, halfLifeMs);
  for (let nowMs = 1; nowMs <= 200_000; nowMs += 1) {
    table.countReads('d', 3, 1, nowMs);
    if (nowMs === halfLifeMs) assert.equal(Math.round(table.of('d', nowMs)?.readsPerS ?? 0), 1_500);
  }
  assert.equal(Math.round(table.of('d', 200_000)?.readsPerS ?? 0), 3_000);
  assert.equal(table.of('other', 200_000), null);
});

test('a million directories take no more slots than there are, and the hot ones keep theirs', () => {
  const table = new HeatTable(512, halfLifeMs);
  const random = randomOf(6);
  const hot = ['hot-0', 'hot-1', 'hot-2', 'hot-3'];
  const counted: Counted[] = [];
  let [nowMs, total] = [0, 0];
  for (let at = 0; at < 1_000_000; at += 1) {
    nowMs += 0.05;
    total += 1;
    table.countLookup(`cold-${at}`, at, at, nowMs);
    if (random() >= 0.1) continue;
    const directory = hot[Math.floor(random() * hot.length)] as string;
    table.countWrites(directory, 1, at, nowMs);
    counted.push({ directory, reads: 0, writes: 1, atMs: nowMs });
  }
  assert.equal(table.directories, 512);
  const hottest = table.hottest(4, nowMs);
  assert.deepEqual(new Set(hottest.map(({ directory }) => directory)), new Set(hot));
  const unseenMax = (1.1 * total * (1_000 / nowMs)) / 512;
  for (const heat of hottest) {
    const its = counted.filter(({ directory }) => directory === heat.directory);
    const rate = rateSlowly(its, ({ writes }) => writes, nowMs);
    assert.ok(heat.writesPerS <= rate * (1 + 1e-9), 'never too great');
    assert.ok(rate <= (heat.writesPerS + heat.unseenPerS) * (1 + 1e-9), 'too small by what it says at most');
    assert.ok(heat.unseenPerS <= unseenMax, `${heat.unseenPerS} unseen`);
    assert.equal(heat.readsPerS, 0, 'nothing of who had the slot before');
  }
});

test('any directory with more than its share of the operations has a slot, whatever comes between', () => {
  const order = fc.array(fc.nat(40), { minLength: 1, maxLength: 400 });
  fc.assert(
    fc.property(order, fc.integer({ min: 1, max: 8 }), (picks, slots) => {
      const table = new HeatTable(slots, halfLifeMs);
      const times = new Map<string, number>();
      for (const pick of picks) {
        const directory = String(pick % (1 + (pick % 7)));
        table.countReads(directory, 1, pick, 0);
        times.set(directory, (times.get(directory) ?? 0) + 1);
      }
      for (const [directory, count] of times) {
        const heat = table.of(directory, 0);
        const perS = (count * Math.LN2) / (halfLifeMs / 1_000);
        if (count > picks.length / slots) assert.ok(heat !== null, directory);
        if (heat === null) continue;
        assert.ok(heat.readsPerS <= perS + 1e-9 && perS <= heat.readsPerS + heat.unseenPerS + 1e-9, directory);
      }
    }),
  );
});

test('the entry that is looked up most is found, and its rate is never overstated', () => {
  const random = randomOf(11);
  for (const share of [0.35, 0.5, 0.9]) {
    const table = new HeatTable(4, halfLifeMs);
    let own = 0;
    const perMs = 2;
    for (let at = 0; at < 100_000; at += 1) {
      const isHot = random() < share;
      if (isHot) own += 2 ** ((at / perMs - 50_000) / halfLifeMs);
      table.countLookup('d', isHot ? 0xdead_beef : Math.floor(random() * 1e6), 1, at / perMs);
    }
    const entry = table.of('d', 50_000)?.hottestEntry;
    const rate = (own * Math.LN2) / (halfLifeMs / 1_000);
    assert.equal(entry?.nameHash, 0xdead_beef);
    assert.ok((entry?.readsPerS ?? 0) <= rate * (1 + 1e-9));
    assert.ok((entry?.readsPerS ?? 0) >= 0.9 * rate, `${entry?.readsPerS} of ${rate}`);
  }
});

test('no entry stands out where all are read alike, nor after pages alone', () => {
  const table = new HeatTable(4, halfLifeMs);
  for (let at = 0; at < 100_000; at += 1) table.countLookup('d', at % 5_003, 1, 0);
  const heat = table.of('d', 0);
  assert.ok((heat?.hottestEntry?.readsPerS ?? 0) < 0.01 * (heat?.readsPerS ?? 0));
  table.countReads('listed', 9, 1, 0);
  assert.equal(table.of('listed', 0)?.hottestEntry, null);
});

test('a slot that is taken over has nothing of the directory before, and callers are those of one half-life', () => {
  const table = new HeatTable(1, halfLifeMs);
  for (const caller of [1, 2, 3]) table.countLookup('before', 5, caller, 1_000);
  table.countReads('after', 1, 1, 1_000);
  const perS = Math.LN2 / (halfLifeMs / 1_000);
  const heat = table.of('after', 1_000);
  assertClose(heat?.readsPerS ?? 0, perS);
  assertClose(heat?.unseenPerS ?? 0, 3 * perS);
  assert.deepEqual([heat?.callers, heat?.hottestEntry, table.of('before', 1_000)], [1, null, null]);
  assert.equal(table.of('after', 10_900)?.callers, 1);
  assert.equal(table.of('after', 11_100)?.callers, 0);
});

test('rates go on over moves of the landmark', () => {
  const table = new HeatTable(2, halfLifeMs);
  const counted: Counted[] = [];
  for (let atMs = 0; atMs < 1_300 * halfLifeMs; atMs += 0.7 * halfLifeMs) {
    table.countReads('d', 10, 1, atMs);
    counted.push({ directory: 'd', reads: 10, writes: 0, atMs });
    const rate = rateSlowly(counted.slice(-100), ({ reads }) => reads, atMs);
    assertClose(table.of('d', atMs)?.readsPerS ?? 0, rate);
  }
});

test('moves of the landmark leave entries and the order of the coldest as they were', () => {
  const table = new HeatTable(3, halfLifeMs);
  table.countLookup('first', 5, 1, 0);
  const [beforeMs, afterMs] = [511.9 * halfLifeMs, 512.1 * halfLifeMs];
  for (let at = 0; at < 8; at += 1) table.countLookup('kept', 5, 1, beforeMs);
  for (let at = 0; at < 4; at += 1) table.countLookup('colder', 5, 1, beforeMs);
  // Whoever is evicted here makes the order known.
  table.countReads('second', 9, 1, beforeMs);
  table.countReads('third', 1, 1, beforeMs);
  assert.equal(table.of('colder', beforeMs), null);
  table.countLookup('kept', 7, 1, afterMs);
  assert.equal(table.of('kept', afterMs)?.hottestEntry?.nameHash, 5);
  const perS = (Math.LN2 / (halfLifeMs / 1_000)) * 2 ** -0.2;
  assertClose(table.of('kept', afterMs)?.hottestEntry?.readsPerS ?? 0, 8 * perS);
  table.countReads('third', 20, 1, afterMs);
  table.countReads('fourth', 1, 1, afterMs);
  assert.deepEqual(
    ['kept', 'second', 'third', 'fourth'].map((directory) => table.of(directory, afterMs) !== null),
    [true, false, true, true],
  );
});

test('what is no count is refused, and a clock that stands still or goes back does no harm', () => {
  const table = new HeatTable(4, halfLifeMs);
  for (const many of [Number.NaN, -1, Number.POSITIVE_INFINITY]) {
    assert.throws(() => table.countReads('d', many, 1, 0), RangeError);
    assert.throws(() => table.countWrites('d', many, 1, 0), RangeError);
  }
  assert.throws(() => table.countReads('d', 1, 1, Number.NaN), RangeError);
  assert.throws(() => new HeatTable(0), RangeError);
  assert.throws(() => new HeatTable(1, 0), RangeError);
  table.countReads('d', 1, 1, 5_000);
  table.countReads('d', 1, 1, 4_000);
  assertClose(table.of('d', 3_000)?.readsPerS ?? 0, (2 * Math.LN2) / (halfLifeMs / 1_000));
});
