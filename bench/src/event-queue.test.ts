import assert from 'node:assert/strict';
import { test } from 'node:test';

import { EventQueue } from './event-queue.ts';

test('what happens comes in the order of its times, also what is added meanwhile', () => {
  const queue = new EventQueue();
  const seen: number[] = [];
  const times = Array.from({ length: 200 }, (_, at) => (at * 7_919) % 200);
  for (const atMs of times) {
    queue.at(atMs, () => {
      seen.push(queue.nowMs);
      if (atMs % 3 === 0) queue.at(atMs - 5, () => seen.push(queue.nowMs));
    });
  }
  queue.runUntil(99.5);
  assert.equal(queue.nowMs, 99.5);
  assert.deepEqual(
    seen,
    seen.toSorted((one, other) => one - other),
  );
  assert.equal(seen.length, 100 + 34, 'what is late comes now');
  queue.runUntil(1_000);
  assert.equal(seen.length, 200 + 67);
});
