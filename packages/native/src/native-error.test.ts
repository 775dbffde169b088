import assert from 'node:assert/strict';
import { test } from 'node:test';

import { MillpoolError } from '@millpool/protocol';

import { binding } from './load.ts';
import { called, nativeError } from './native-error.ts';

test('an error of the addon keeps its code and gets a remedy', () => {
  const error = nativeError(new Error('not-found: opening /x: gone'));
  assert.equal(error.code, 'not-found');
  assert.equal(error.message, 'opening /x: gone');
  assert.notEqual(error.remedy, '');
});

test('anything else is a fault of ours', () => {
  assert.equal(nativeError(new Error('strange: thing')).code, 'internal');
  assert.equal(nativeError('text').message, 'text');
  const own = new MillpoolError({ code: 'full', message: 'm', remedy: 'r' });
  assert.equal(nativeError(own), own);
});

test('a panic in the addon is an error, and the process goes on', () => {
  assert.throws(() => called(() => binding().panicForTest()), { code: 'internal', message: /a panic on purpose/ });
  assert.equal(typeof binding().addonVersion(), 'string');
});
