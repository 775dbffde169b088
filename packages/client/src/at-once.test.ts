import assert from 'node:assert/strict';
import { test } from 'node:test';

import { AtOnce } from './at-once.ts';

test('small batches are tried at once, until the loop works long on one', () => {
  const atOnce = new AtOnce(1 << 20);
  assert.equal(atOnce.serves, true);
  for (const serves of [true, true, false, false]) {
    atOnce.worked(5);
    assert.equal(atOnce.serves, serves, 'a machine that was busy elsewhere for a moment is no loop that works long');
  }
  atOnce.worked(0.2);
  assert.equal(atOnce.serves, true);
  assert.equal(new AtOnce(3 << 20).serves, false);
});

test('after a try that failed it waits for twice as many batches as before', () => {
  const atOnce = new AtOnce(1 << 20);
  const pauses = Array.from({ length: 9 }, () => {
    atOnce.failed();
    let pause = 0;
    for (; !atOnce.serves; pause += 1) atOnce.passed();
    return pause;
  });
  assert.deepEqual(pauses, [4, 8, 16, 32, 64, 128, 256, 256, 256]);
  atOnce.succeeded();
  atOnce.failed();
  for (let n = 0; n < 4; n += 1) atOnce.passed();
  assert.equal(atOnce.serves, true);
});
