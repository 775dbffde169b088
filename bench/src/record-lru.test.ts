import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Order } from '@millpool/native';

import { RecordLru } from './record-lru.ts';

test('what was read longest ago goes first', () => {
  const lru = new RecordLru(3);
  const fetched = [1, 2, 3, 1, 4, 2, 1].map((record) => lru.read(record, 1));
  assert.deepEqual(fetched, [1, 1, 1, 0, 1, 1, 0]);
});

test('over shuffled epochs with half the data cached it hits c + (1 - c) ln(1 - c) of it', () => {
  const count = 20_000;
  const lru = new RecordLru(count / 2);
  let fetched = 0;
  for (let epoch = 0; epoch < 4; epoch += 1) {
    if (epoch === 2) fetched = 0;
    for (const sample of new Order({ count, seed: 7, epoch, shuffle: true }).samples(0, count)) {
      fetched += lru.read(sample, 1);
    }
  }
  const hits = 1 - fetched / (2 * count);
  assert.ok(Math.abs(hits - (0.5 + 0.5 * Math.log(0.5))) < 0.01, String(hits));
});
