import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { ColdestFirst } from './coldest-first.ts';

test('the coldest is a slot of least weight, however weights grow, and when they are scaled', () => {
  const growth = fc.array(fc.tuple(fc.nat(19), fc.double({ min: 0, max: 1e6, noNaN: true }), fc.nat(9)));
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 20 }), growth, (slots, steps) => {
      const weights = new Float64Array(slots);
      const order = new ColdestFirst(weights);
      for (let slot = 0; slot < slots; slot += 1) order.add(slot);
      for (const [pick, by, what] of steps) {
        const slot = pick % slots;
        weights[slot] = (weights[slot] as number) + by;
        if (what === 0) {
          weights.forEach((weight, at) => (weights[at] = weight * 2 ** -30));
          order.scale(2 ** -30);
        }
        if (what < 5) assert.equal(weights[order.coldest()], Math.min(...weights));
      }
    }),
  );
});

test('a slot that is added late is the coldest', () => {
  const weights = new Float64Array(40);
  const order = new ColdestFirst(weights);
  for (let slot = 0; slot < weights.length; slot += 1) {
    order.add(slot);
    assert.equal(order.coldest(), slot);
    weights[slot] = 1 + ((slot * 17) % 13);
  }
  assert.equal(weights[order.coldest()], 1);
});
