import assert from 'node:assert/strict';
import { test } from 'node:test';

import { bestRate, comparePairs, comparison, fastest, samplesPerCpuSecond } from './pairs.ts';
import type { Contender } from './pairs.ts';

const { signal } = new AbortController();
const silent = (): void => undefined;

function steady(name: string, seconds: (number: number) => number, order: string[] = []): Contender {
  return {
    lap: async (number) => {
      order.push(`${name}${number}`);
      return { samples: 100, seconds: seconds(number), cpuSeconds: 0.001 };
    },
  };
}

test('pairs alternate who begins, and their ratio does not see what both sides suffer', async () => {
  const order: string[] = [];
  const slowDown = (number: number): number => 1 + number;
  const ours = steady('a', (number) => 0.5 * slowDown(number), order);
  const reference = steady('b', slowDown, order);
  const found = await comparePairs(ours, reference, { pairs: 5, signal, say: silent });
  assert.deepEqual(order, ['a0', 'b0', 'b1', 'a1', 'a2', 'b2', 'b3', 'a3', 'a4', 'b4']);
  assert.equal(found.ratio, 2);
  assert.deepEqual([found.low, found.high, found.runs, found.isVoid], [2, 2, 5, false]);
  assert.deepEqual(found.cpuMicros, { ours: 10, reference: 10 });
});

test('CPU time is compared where that is asked for', async () => {
  const ours: Contender = { lap: async () => ({ samples: 100, seconds: 1, cpuSeconds: 0.5 }) };
  const reference: Contender = { lap: async () => ({ samples: 100, seconds: 9, cpuSeconds: 0.4 }) };
  const found = await comparePairs(ours, reference, { pairs: 5, measure: samplesPerCpuSecond, signal, say: silent });
  assert.deepEqual([found.ratio, found.ours, found.reference], [0.8, 200, 250]);
});

test('an unsteady result is void and measured again, three times in all', async () => {
  const said: string[] = [];
  const order: string[] = [];
  const ours = steady('a', (number) => (number % 2 === 0 ? 1 : 2), order);
  const found = await comparePairs(
    ours,
    steady('b', () => 1),
    { pairs: 4, signal, say: (text) => said.push(text) },
  );
  assert.equal(found.isVoid, true);
  assert.equal(order.length, 12);
  assert.equal(said.length, 2);
  assert.match(said[0] ?? '', /^void: the interval 0\.50–1\.00 is wider/);
});

test('one that becomes steady counts', async () => {
  let laps = 0;
  const ours = steady('a', () => (++laps > 4 ? 1 : laps));
  const found = await comparePairs(
    ours,
    steady('b', () => 1),
    { pairs: 4, signal, say: silent },
  );
  assert.deepEqual([found.ratio, found.isVoid, laps], [1, false, 8]);
});

test('the fastest of some is the one with the best lap', async () => {
  const seconds = new Map([
    ['slow', 3],
    ['fast', 1],
    ['middle', 2],
  ]);
  const rateOf = (name: string): Promise<number> => bestRate(steady(name, () => seconds.get(name) ?? 9));
  assert.equal(await fastest([...seconds.keys()], rateOf), 'fast');
});

test('nothing more is run once it is stopped', async () => {
  const stop = new AbortController();
  const order: string[] = [];
  const ours = steady('a', () => 1, order);
  const reference: Contender = { lap: async () => (stop.abort(), ours.lap(9)) };
  await assert.rejects(comparePairs(ours, reference, { pairs: 3, signal: stop.signal, say: silent }), /abort/i);
  assert.deepEqual(order, ['a0', 'a9']);
});

test('counted numbers are paired as laps are, without CPU time', () => {
  const found = comparison([96, 97, 98, 97, 96], [100, 100, 100, 100, 100]);
  assert.deepEqual([found.ratio, found.runs, found.isVoid, found.cpuMicros], [0.97, 5, false, null]);
  assert.throws(() => comparison([1], []), RangeError);
});
