import assert from 'node:assert/strict';
import { test } from 'node:test';

import { randomOf } from '../testing/random.ts';
import { CallerSketches } from './caller-sketches.ts';

const windowMs = 10_000;

/** The root mean square of the relative error, over many seeded sets of callers. */
function errorAt(callers: number): number {
  const runs = 400;
  let squares = 0;
  for (let run = 0; run < runs; run += 1) {
    const random = randomOf(run);
    const sketches = new CallerSketches(1, windowMs);
    for (let caller = 0; caller < callers; caller += 1) sketches.count(0, Math.floor(random() * 2 ** 32), 0);
    squares += ((sketches.callersOf(0, 0) - callers) / callers) ** 2;
  }
  return Math.sqrt(squares / runs);
}

test('the estimate of callers is within the stated error', () => {
  for (const callers of [1, 2, 8, 64, 128]) assert.ok(errorAt(callers) <= 0.08, `${callers}: ${errorAt(callers)}`);
  assert.ok(errorAt(256) <= 0.1, String(errorAt(256)));
});

test('callers that are numbered in a row are told apart as well', () => {
  for (const callers of [2, 16, 100, 250]) {
    const sketches = new CallerSketches(1, windowMs);
    for (let caller = 0; caller < callers; caller += 1) sketches.count(0, caller, 0);
    const estimate = sketches.callersOf(0, 0);
    assert.ok(Math.abs(estimate - callers) <= 0.25 * callers, `${callers}: ${estimate}`);
  }
});

test('a caller counts for one window after it was last seen, and a directory for itself', () => {
  const sketches = new CallerSketches(2, windowMs);
  sketches.count(0, 1, 5_000);
  sketches.count(0, 2, 9_000);
  assert.equal(Math.round(sketches.callersOf(0, 14_900)), 2);
  assert.equal(Math.round(sketches.callersOf(0, 15_100)), 1);
  sketches.count(0, 2, 16_000);
  assert.equal(Math.round(sketches.callersOf(0, 25_900)), 1);
  assert.equal(sketches.callersOf(0, 26_100), 0);
  assert.equal(sketches.callersOf(1, 5_000), 0, 'the other directory');
  sketches.clear(0);
  assert.equal(sketches.callersOf(0, 16_000), 0);
});

test('more callers than it can count are its greatest answer', () => {
  const sketches = new CallerSketches(1, windowMs);
  for (let caller = 0; caller < 100_000; caller += 1) sketches.count(0, caller, 0);
  assert.equal(Math.round(sketches.callersOf(0, 0)), 621);
});
