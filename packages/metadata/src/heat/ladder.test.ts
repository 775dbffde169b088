import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import fc from 'fast-check';

import type { Rung } from '@millpool/protocol';

import { randomOf } from '../testing/random.ts';
import { decide } from './ladder.ts';
import type { Decision } from './ladder.ts';
import { ladderThresholds as by } from './ladder-thresholds.ts';
import type { Measured } from './measured.ts';
import { groundStand } from './stand.ts';
import type { Stand } from './stand.ts';

const quiet: Measured = {
  readsPerS: 0,
  writesPerS: 0,
  callers: 40,
  hottestEntry: null,
  names: 2_000,
  partitions: 1,
  shards: 1_024,
  nodes: 16,
  capacityPerS: 10_000,
};

const atOnce = (of: Partial<Measured>): Decision => decide(groundStand(0), { ...quiet, ...of }, 0);

/** What a directory does when each decision is carried out at once. */
class Climber {
  stand: Stand = groundStand(0);
  partitions = 1;
  readonly changes: { readonly atMs: number; readonly rung: Rung; readonly reason: string }[] = [];

  see(of: Partial<Measured>, nowMs: number): Decision {
    const decision = decide(this.stand, { ...quiet, partitions: this.partitions, ...of }, nowMs);
    this.stand = decision.stand;
    this.partitions = decision.partitions;
    if (decision.isChange) this.changes.push({ atMs: nowMs, rung: decision.stand.rung, reason: decision.reason });
    return decision;
  }
}

describe('the rung that the cause needs, in one decision', () => {
  test('a load that a node bears is no cause', () => {
    const decision = atOnce({ readsPerS: 3_900, writesPerS: 100 });
    assert.deepEqual([decision.stand.rung, decision.partitions, decision.isChange], ['none', 1, false]);
  });

  test('one hot entry gets replicas', () => {
    const hottestEntry = { nameHash: 77, readsPerS: 8_000 };
    const decision = atOnce({ readsPerS: 9_000, writesPerS: 100, hottestEntry });
    assert.deepEqual([decision.stand.rung, decision.stand.entry, decision.partitions], ['replicate', 77, 1]);
    assert.equal(
      decision.reason,
      'one entry has replicas, as it has 8,000 reads/s: 9,000 reads/s by 40 callers and 100 writes/s are 91 % of its ' +
        'busiest owner, then 11 %',
    );
  });

  test('a read-hot directory is published', () => {
    const decision = atOnce({ readsPerS: 12_400, writesPerS: 100, hottestEntry: { nameHash: 1, readsPerS: 300 } });
    assert.deepEqual([decision.stand.rung, decision.partitions], ['publish', 1]);
    assert.equal(
      decision.reason,
      'published: 12,400 reads/s by 40 callers and 100 writes/s are 125 % of its busiest owner, then 1 %',
    );
  });

  test('a write-hot directory is split over all nodes', () => {
    const decision = atOnce({ readsPerS: 1_000, writesPerS: 4_000 });
    assert.deepEqual([decision.stand.rung, decision.partitions], ['split', 64]);
    assert.equal(
      decision.reason,
      'split over 16 nodes: 1,000 reads/s by 40 callers and 4,000 writes/s are 50 % of its busiest owner, then 3 %; ' +
        '2,000 names go from 1 to 64 partitions',
    );
  });

  test('a split has at most one partition a shard', () => {
    assert.equal(atOnce({ writesPerS: 9_000, shards: 24 }).partitions, 16);
    assert.equal(atOnce({ writesPerS: 9_000, nodes: 600 }).partitions, 1_024);
  });

  test('a directory that is too large is split by its names, hot or not', () => {
    const cool = atOnce({ names: 100_000_000 });
    assert.deepEqual([cool.stand.rung, cool.partitions, cool.isChange], ['none', 64, true]);
    assert.match(cool.reason, /100,000,000 names go from 1 to 64 partitions$/);
    const read = atOnce({ names: 1_000_000, readsPerS: 5_000 });
    assert.deepEqual([read.stand.rung, read.partitions], ['publish', 1]);
    const written = atOnce({ names: 400_000_000, writesPerS: 5_000 });
    assert.deepEqual([written.stand.rung, written.partitions], ['split', 256]);
  });
});

describe('what a rung cannot do', () => {
  test('reads that many writes come with are not published, nor directories too large for it: they are split', () => {
    assert.equal(atOnce({ readsPerS: 9_000, writesPerS: 200 }).stand.rung, 'split');
    assert.equal(atOnce({ readsPerS: 9_000, names: 5_000_000 }).stand.rung, 'split');
  });

  test('reads of one caller are neither published nor replicated', () => {
    assert.equal(atOnce({ readsPerS: 9_000, callers: 1 }).stand.rung, 'split');
    const hottestEntry = { nameHash: 7, readsPerS: 9_000 };
    assert.equal(atOnce({ readsPerS: 9_000, callers: 1, hottestEntry }).stand.rung, 'none');
  });

  test('where nothing helps nothing is done, and it says so', () => {
    const alone = atOnce({ writesPerS: 9_000, nodes: 1 });
    assert.deepEqual([alone.isChange, alone.stand.rung, alone.partitions], [false, 'none', 1]);
    assert.match(alone.reason, /^nothing is done, as before, as no other rung helps: .* 90 % /);
  });

  test('two entries that are about as hot do not take turns', () => {
    const random = randomOf(5);
    const climber = new Climber();
    for (let nowMs = 0; nowMs < 3_600_000; nowMs += 1_000) {
      const hottestEntry = { nameHash: random() < 0.5 ? 1 : 2, readsPerS: 2_300 };
      climber.see({ readsPerS: 4_500, hottestEntry }, nowMs);
    }
    assert.deepEqual(
      climber.changes.map(({ rung }) => rung),
      ['publish'],
    );
  });
});

test('replicas of an entry stay while writes are a bearable part, and go when they are not', () => {
  const climber = new Climber();
  const hottestEntry = { nameHash: 7, readsPerS: 8_000 };
  climber.see({ readsPerS: 8_000, writesPerS: 700, hottestEntry }, 0);
  assert.equal(climber.stand.rung, 'replicate');
  climber.see({ readsPerS: 8_000, writesPerS: 3_000, hottestEntry }, by.settleMs);
  assert.equal(climber.stand.rung, 'replicate');
  climber.see({ readsPerS: 8_000, writesPerS: 3_300, hottestEntry }, 2 * by.settleMs);
  assert.equal(climber.stand.rung, 'split');
});

describe('up and down', () => {
  const hot = { readsPerS: 12_000 };
  const coolLoad = { readsPerS: 900 };

  test('it comes down after five minutes without a break in which it was cool', () => {
    const climber = new Climber();
    climber.see(hot, 0);
    let nowMs = 0;
    for (const breakMs of [299_000, 150_000]) {
      for (const end = nowMs + breakMs; nowMs < end; nowMs += 1_000) climber.see(coolLoad, nowMs);
      climber.see({ readsPerS: 2_000 }, nowMs);
    }
    assert.equal(climber.stand.rung, 'publish');
    const fromMs = nowMs + 1_000;
    while (climber.stand.rung === 'publish' && nowMs < 1e7) climber.see(coolLoad, (nowMs += 1_000));
    assert.equal(nowMs - fromMs, by.coolMs);
    assert.match(climber.changes.at(-1)?.reason ?? '', /^cool, nothing is done any more: 900 reads\/s /);
  });

  test('partitions of a load that went are merged with it, those that the names need stay', () => {
    for (const [names, left] of [
      [2_000, 1],
      [10_000_000, 8],
      [100_000_000, 64],
    ] as const) {
      const climber = new Climber();
      climber.see({ names, writesPerS: 9_000 }, 0);
      assert.equal(climber.partitions, 64);
      for (let nowMs = 1_000; nowMs <= 302_000; nowMs += 1_000) climber.see({ names, writesPerS: 5 }, nowMs);
      assert.deepEqual([climber.stand.rung, climber.partitions], ['none', left]);
    }
  });

  test('partitions that the merged load would heat are not merged', () => {
    const climber = new Climber();
    climber.see({ writesPerS: 9_000 }, 0);
    for (let nowMs = 1_000; nowMs <= 900_000; nowMs += 1_000) climber.see({ writesPerS: 2_000 }, nowMs);
    assert.deepEqual([climber.stand.rung, climber.partitions], ['split', 64]);
  });

  test('a rung whose cause has changed makes way once its effect had time to show', () => {
    const climber = new Climber();
    climber.see(hot, 0);
    const written = { readsPerS: 9_000, writesPerS: 4_500 };
    const early = climber.see(written, by.settleMs - 1);
    assert.match(early.reason, /^published, as before until its effect shows: /);
    climber.see(written, by.settleMs);
    assert.deepEqual(
      climber.changes.map(({ rung }) => rung),
      ['publish', 'split'],
    );
    climber.see(hot, 10 * by.settleMs);
    assert.equal(climber.stand.rung, 'split', 'what is good enough stays');
  });

  test('a change that is not carried out is decided again, a merge too', () => {
    const first = decide(groundStand(0), { ...quiet, writesPerS: 9_000 }, 0);
    const again = decide(first.stand, { ...quiet, writesPerS: 9_000 }, 1_000);
    assert.deepEqual([again.isChange, again.partitions, again.stand.sinceMs], [true, 64, 0]);
    let decision = decide(groundStand(0), { ...quiet, partitions: 64 }, 0);
    for (let nowMs = 1_000; nowMs <= 310_000; nowMs += 1_000) {
      decision = decide(decision.stand, { ...quiet, partitions: 64 }, nowMs);
      assert.equal(decision.partitions, nowMs < by.coolMs ? 64 : 1);
    }
  });
});

test('noise around a threshold moves a directory up once, and never up and down: long seeded runs', () => {
  for (const around of [by.hotShare, by.coolShare, by.aimedShare]) {
    for (let seed = 0; seed < 12; seed += 1) {
      const random = randomOf(seed);
      const climber = new Climber();
      const isWritten = seed % 2 === 0;
      if (seed % 3 === 0) climber.see(isWritten ? { writesPerS: 9_000 } : { readsPerS: 9_000 }, 0);
      const before = climber.changes.length;
      for (let nowMs = 1_000; nowMs < 7_200_000; nowMs += 1_000) {
        const perS = around * 10_000 * (0.7 + 0.6 * random());
        climber.see(isWritten ? { writesPerS: perS } : { readsPerS: perS, writesPerS: 0.02 * random() * perS }, nowMs);
      }
      const since = climber.changes.slice(before);
      const isClimb = around === by.hotShare && before === 0;
      assert.equal(
        since.length,
        isClimb ? 1 : 0,
        `seed ${seed} around ${around}: ${since.map(({ reason }) => reason).join(' | ')}`,
      );
    }
  }
});

const heat = fc.record({
  readsPerS: fc.integer({ min: 0, max: 200_000 }),
  writesPerS: fc.oneof(fc.nat(300), fc.nat(50_000)),
  callers: fc.nat(200),
  entryShare: fc.double({ min: 0, max: 1, noNaN: true }),
  nameHash: fc.nat(3),
  names: fc.oneof(fc.nat(6_000_000), fc.nat(2_000_000_000)),
  forMs: fc.nat(400_000),
});

test('whatever comes, no rung is left for another before its time', () => {
  fc.assert(
    fc.property(fc.array(heat, { maxLength: 60 }), fc.integer({ min: 1, max: 64 }), (seen, nodes) => {
      let [stand, partitions, nowMs]: [Stand, number, number] = [groundStand(0), 1, 0];
      for (const { entryShare, nameHash, forMs, ...rest } of seen) {
        nowMs += forMs;
        const hottestEntry = { nameHash, readsPerS: entryShare * rest.readsPerS };
        const of = { ...quiet, ...rest, hottestEntry, partitions, nodes };
        const decision = decide(stand, of, nowMs);
        assert.deepEqual(decision, decide(stand, of, nowMs), 'the same again');
        const isMove = decision.stand.rung !== stand.rung || decision.stand.entry !== stand.entry;
        if (isMove && stand.rung !== 'none') assert.ok(nowMs - stand.sinceMs >= by.settleMs);
        if (decision.partitions < partitions) assert.equal(decision.stand.rung, 'none');
        assert.ok(decision.partitions <= of.shards);
        assert.equal(decision.stand.rung === 'replicate', decision.stand.entry !== null);
        assert.ok(decision.isChange === (isMove || decision.partitions !== partitions));
        assert.doesNotMatch(decision.reason, /NaN|undefined|Infinity/);
        [stand, partitions] = [decision.stand, decision.partitions];
      }
    }),
  );
});

test('what cannot be measured is refused', () => {
  for (const of of [
    { capacityPerS: 0 },
    { capacityPerS: Number.NaN },
    { nodes: 0 },
    { partitions: 0 },
    { shards: 0 },
  ]) {
    assert.throws(() => atOnce(of), RangeError);
  }
});
