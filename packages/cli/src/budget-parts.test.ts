import assert from 'node:assert/strict';
import { test } from 'node:test';

import { engineBytesOf, heapBytesOf, namesBytesOf } from './budget-parts.ts';

const mib = 1024 ** 2;

test('the program has its part of the budget before the engine has any', () => {
  assert.deepEqual([engineBytesOf(512 * mib), namesBytesOf(512 * mib)], [332 * mib, 20 * mib]);
  assert.deepEqual([engineBytesOf(192 * mib), namesBytesOf(192 * mib)], [32 * mib, 0]);
  assert.deepEqual([heapBytesOf(1_024 * mib), heapBytesOf(4_096 * mib)], [80 * mib, 256 * mib]);
  assert.equal(engineBytesOf(4_096 * mib), (4_096 - 80 - 256 - 233) * mib);
  assert.throws(() => engineBytesOf(192 * mib - 1), { code: 'invalid', remedy: /192MiB \(MILLPOOL_BUDGET\)/ });
});
