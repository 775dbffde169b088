import assert from 'node:assert/strict';
import { test } from 'node:test';

import { RunLength } from './run-length.ts';

const none = { sourceNs: 0, peerNs: 0, deviceNs: 0, gatherNs: 0, queueNs: 0 };
const quick = { length: 256, hits: 256, bytes: 1 << 20, waits: { ...none, gatherNs: 100_000, queueNs: 20_000 } };
const ringBytes = 1 << 30;

function after(run: RunLength, batch: Parameters<RunLength['came']>[0], times = 1): readonly [number, number] {
  for (let n = 0; n < times; n += 1) run.came(batch, false);
  return [run.batches, run.aheadBatches];
}

test('quick batches are read several by a call, twice as many under way', () => {
  const run = new RunLength(null, ringBytes);
  assert.deepEqual([run.batches, run.aheadBatches], [1, 4]);
  assert.deepEqual(after(run, quick), [2, 4]);
  assert.deepEqual(after(run, quick, 5), [8, 16]);
});

test('a batch that waited, or was fetched, is read alone again', () => {
  for (const waited of ['sourceNs', 'peerNs', 'deviceNs'] as const) {
    const run = new RunLength(null, ringBytes);
    after(run, quick, 5);
    assert.deepEqual(after(run, { ...quick, waits: { ...quick.waits, [waited]: 1 } }), [1, 4], waited);
  }
  const run = new RunLength(null, ringBytes);
  after(run, quick, 5);
  assert.deepEqual(after(run, { ...quick, hits: 255 }), [1, 4]);
});

test('a batch that takes as long as several wake-ups is read alone', () => {
  const slow = { ...quick, waits: { ...none, gatherNs: 3_000_000 } };
  assert.deepEqual(after(new RunLength(null, ringBytes), slow, 5), [1, 4]);
});

test('what a user asked for is never exceeded, and a small ring is not filled', () => {
  assert.deepEqual(after(new RunLength(6, ringBytes), quick, 5), [3, 6]);
  assert.deepEqual(after(new RunLength(1, ringBytes), quick, 5), [1, 1]);
  assert.deepEqual(after(new RunLength(null, 32 << 20), quick, 5), [2, 4]);
  assert.deepEqual(after(new RunLength(null, 2 << 20), quick, 5), [1, 4]);
});

test('a loop that waits for the device now and then is read further ahead, as far as a part of the ring goes', () => {
  const cold = { ...quick, bytes: 24 << 20, waits: { ...none, deviceNs: 30_000_000 } };
  const run = new RunLength(null, ringBytes);
  const burst = (): number => {
    run.came(cold, false);
    // The first of a burst counts, and what follows it is the same burst.
    for (let n = 0; n < 3; n += 1) run.came(cold, true);
    return run.aheadBatches;
  };
  assert.deepEqual([burst(), burst(), burst()], [8, 10, 10]);
  const alwaysLate = new RunLength(null, ringBytes);
  for (let n = 0; n < 20; n += 1) alwaysLate.came(cold, true);
  assert.equal(alwaysLate.aheadBatches, 4);
  const asked = new RunLength(2, ringBytes);
  for (const isLate of [false, true, false, true]) asked.came(cold, isLate);
  assert.equal(asked.aheadBatches, 2);
  const missed = new RunLength(null, ringBytes);
  for (const isLate of [false, true]) missed.came({ ...cold, hits: 255 }, isLate);
  assert.equal(missed.aheadBatches, 4, "what is fetched is the daemon's to fetch ahead");
});
