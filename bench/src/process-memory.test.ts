import assert from 'node:assert/strict';
import { test } from 'node:test';

import { memoryBytesOf } from './process-memory.ts';

const addedBytes = 64 << 20;

test('memory that a process takes of its own is counted', async () => {
  const before = await memoryBytesOf(process.pid);
  const taken = Buffer.alloc(addedBytes, 1);
  const after = await memoryBytesOf(process.pid);
  assert.ok(after - before > 0.9 * addedBytes, `${after} after ${before}`);
  assert.equal(taken.length, addedBytes);
});
