import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import fc from 'fast-check';

import { Order, Schedule } from './order.ts';

const config = fc.record({ count: fc.integer({ min: 1, max: 2000 }), seed: fc.maxSafeNat(), epoch: fc.nat(1000) });

test('an epoch has every sample once, and positionOf is its inverse', () => {
  fc.assert(
    fc.property(config, fc.boolean(), (each, shuffle) => {
      const order = new Order({ ...each, shuffle });
      const samples = order.samples(0, each.count);
      assert.deepEqual(
        Float64Array.from(samples).sort(),
        Float64Array.from({ length: each.count }, (_, i) => i),
      );
      samples.forEach((sample, position) => assert.equal(order.positionOf(sample), position));
    }),
    { numRuns: 40 },
  );
});

test('positions past the end wrap to the start', () => {
  const order = new Order({ count: 10, seed: 1, epoch: 0, shuffle: true });
  assert.deepEqual(order.samples(8, 4), Float64Array.of(...order.samples(8, 2), ...order.samples(0, 2)));
});

test('the ranks of a world share each step and have as many', () => {
  const scheduled = fc.record({
    count: fc.integer({ min: 1, max: 300 }),
    globalBatch: fc.integer({ min: 1, max: 40 }),
    world: fc.integer({ min: 1, max: 8 }),
    dropLast: fc.boolean(),
  });
  fc.assert(
    fc.property(scheduled, (each) => {
      const ranks = Array.from({ length: each.world }, (_, rank) => new Schedule({ ...each, rank, position: 0 }));
      const steps = ranks.map((schedule) => {
        const rows = [];
        for (let step = schedule.next(); step !== null; step = schedule.next()) rows.push(step);
        return rows;
      });
      assert(steps.every((rows) => rows.length === steps[0]!.length));
      const read = steps.flat().reduce((sum, step) => sum + step.count - step.padded, 0);
      assert.equal(read, each.dropLast ? each.count - (each.count % each.globalBatch) : each.count);
    }),
    { numRuns: 60 },
  );
});

test('what can never be right is refused', () => {
  const good = { count: 10, globalBatch: 4, world: 2, rank: 0, dropLast: false, position: 0 };
  for (const bad of [{ rank: 2 }, { globalBatch: 0 }, { world: 0 }, { position: 11 }, { count: 1.5 }]) {
    assert.throws(() => new Schedule({ ...good, ...bad }), { code: 'invalid' });
  }
  assert.throws(() => new Order({ count: 5, seed: -1, epoch: 0, shuffle: true }), { code: 'invalid' });
});

/** What each rank reads in each step, behind the position after it. Python reads the same file. */
interface StepsOfRanks {
  readonly count: number;
  readonly seed: number;
  readonly epoch: number;
  readonly shuffle: boolean;
  readonly globalBatch: number;
  readonly dropLast: boolean;
  readonly position: number;
  readonly ranks: readonly (readonly (readonly number[])[])[];
}

test('each rank of a world reads what the shared vectors say', () => {
  const text = readFileSync(new URL('../../../test/vectors/loader-steps.json', import.meta.url), 'utf8');
  const cases = JSON.parse(text) as readonly StepsOfRanks[];
  assert.ok(cases.length > 5);
  for (const each of cases) {
    const order = new Order(each);
    each.ranks.forEach((wanted, rank) => {
      const schedule = new Schedule({ ...each, world: each.ranks.length, rank });
      const found: number[][] = [];
      for (let step = null; (step = schedule.next()) !== null;) {
        found.push([step.nextPosition, ...order.samples(step.from, step.count)]);
      }
      assert.deepEqual(found, wanted);
    });
  }
});
