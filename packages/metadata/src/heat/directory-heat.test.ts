import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { DirectoryHeat } from '@millpool/protocol';

import { heatOfAll } from './directory-heat.ts';

const one: DirectoryHeat = {
  directory: 'd',
  readsPerS: 100,
  writesPerS: 1,
  callers: 7,
  hottestEntry: { nameHash: 5, readsPerS: 60 },
  unseenPerS: 2,
};

test('rates of several owners add up, callers are those of who saw the most, replicas of an entry add up', () => {
  const other = { ...one, readsPerS: 50, callers: 9, hottestEntry: { nameHash: 6, readsPerS: 40 }, unseenPerS: 0 };
  const third = { ...other, hottestEntry: { nameHash: 6, readsPerS: 30 } };
  assert.deepEqual(heatOfAll([one, other, third, { ...one, hottestEntry: null }]), {
    directory: 'd',
    readsPerS: 300,
    writesPerS: 4,
    callers: 9,
    hottestEntry: { nameHash: 6, readsPerS: 70 },
    unseenPerS: 4,
  });
  assert.deepEqual(heatOfAll([one]), one);
});
