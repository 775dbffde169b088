import assert from 'node:assert/strict';
import { test } from 'node:test';

import { engineBytesOf } from './budget-parts.ts';

const mib = 1024 ** 2;

test('the program has its part of the budget before the engine has any', () => {
  assert.equal(engineBytesOf(512 * mib), 352 * mib);
  assert.equal(engineBytesOf(192 * mib), 32 * mib);
  assert.throws(() => engineBytesOf(192 * mib - 1), { code: 'invalid', remedy: /192MiB \(MILLPOOL_BUDGET\)/ });
});
