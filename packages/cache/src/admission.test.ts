import assert from 'node:assert/strict';
import { test } from 'node:test';

import { admission } from './admission.ts';

const gib = 1024 ** 3;
const device = {
  path: '/d',
  tier: 'fast',
  sizeBytes: gib,
  usedBytes: 0,
  roomBytes: gib,
  copyRoomBytes: gib,
  state: 'ok',
  reason: '',
} as const;

test('a full key table stops admission whatever room the devices have, and says what to do', () => {
  assert.deepEqual(admission([device], { tableFull: false, loading: false }), { state: 'on', why: '' });
  const { state, why } = admission([device], { tableFull: true, loading: true });
  assert.equal(state, 'full');
  assert.match(why, /key table .*MILLPOOL_BUDGET.*millpool free/);
});

test('while what earlier runs left is read, the cache is on and says what waits', () => {
  const { state, why } = admission([device], { tableFull: false, loading: true });
  assert.equal(state, 'on');
  assert.match(why, /still being read/);
});
