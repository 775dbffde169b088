import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { ladderThresholds as by } from './ladder-thresholds.ts';
import { busiestShare, partitionsForLoad, partitionsForNames } from './partition-need.ts';

const partitioned = fc.integer({ min: 1, max: 1_024 }).chain((shards) =>
  fc.record({
    names: fc.oneof(fc.nat(10_000_000), fc.nat(2_000_000_000)),
    partitions: fc.integer({ min: 1, max: shards }),
    shards: fc.constant(shards),
    nodes: fc.integer({ min: 1, max: 300 }),
  }),
);

const million = 1_024 * 1_024;

test('partitions are split over 4 Mi names and merged below half a Mi, to between 1 Mi and 2 Mi', () => {
  const of = (names: number, partitions: number): number =>
    partitionsForNames({ names, partitions, shards: 1_024, nodes: 1 }, true, by);
  assert.equal(of(4 * million, 1), 1);
  assert.equal(of(4 * million + 1, 1), 4);
  assert.equal(of(100 * million, 1), 64);
  assert.equal(of(32 * million, 64), 64);
  assert.equal(of(32 * million - 1, 64), 16);
  assert.equal(of(0, 64), 1);
  assert.equal(of(140 * million, 63), 128, 'uneven partitions are as large as those of the power of two below');
  assert.equal(of(2_000 * million, 1_024), 1_024);
  assert.equal(of(10_000 * million, 64), 1_024, 'never more than shards');
  assert.equal(partitionsForNames({ names: 0, partitions: 64, shards: 1_024, nodes: 1 }, false, by), 64);
});

test('what was changed is not changed again, and there is at most one partition a shard', () => {
  fc.assert(
    fc.property(partitioned, fc.boolean(), (of, mayMerge) => {
      const partitions = partitionsForNames(of, mayMerge, by);
      assert.ok(partitions >= 1 && partitions <= of.shards);
      assert.equal(partitionsForNames({ ...of, partitions }, mayMerge, by), partitions);
      const forLoad = partitionsForLoad(of, by);
      assert.ok(forLoad >= of.partitions && forLoad <= of.shards);
      assert.equal(partitionsForLoad({ ...of, partitions: forLoad }, by), forLoad);
      if (mayMerge) return;
      assert.ok(partitions >= of.partitions);
      const isFull = of.names / partitions > by.namesMax;
      if (isFull) assert.ok(2 * partitions > of.shards, 'too full for want of shards alone');
    }),
  );
});

test('the busiest node has the partitions that placing them evenly leaves it', () => {
  assert.equal(busiestShare(1, 16), 1);
  assert.equal(busiestShare(64, 16), 1 / 16);
  assert.equal(busiestShare(16, 3), 6 / 16);
  assert.equal(busiestShare(5, 16), 1 / 4, 'uneven partitions are as large as those of the power of two below');
  assert.equal(busiestShare(64, 1), 1);
});
