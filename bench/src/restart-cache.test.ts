import assert from 'node:assert/strict';
import { test } from 'node:test';

import { RestartCache } from './restart-cache.ts';

const { signal } = new AbortController();

test('daemons start on a directory of records after a kill -9, and a bare Node reads the same', async () => {
  await using cache = await RestartCache.make(20_000, 'crash', { say: () => undefined, signal });
  const [daemon, bare] = [cache.daemon(), cache.bareReading('parallel')];
  const laps = [await daemon.lap(0), await bare.lap(0), await daemon.lap(1)];
  assert.ok(laps.every(({ samples, seconds, cpuSeconds }) => samples === 1 && seconds > 0 && cpuSeconds > 0));
  assert.ok(Number.isFinite(cache.memoryBytesARecord));
});
