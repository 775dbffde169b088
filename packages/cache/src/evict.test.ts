import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { Policy } from '@millpool/protocol';

import { idleTenantSeconds, pickVictims } from './evict.ts';
import type { SegmentFacts, Tenant } from './evict.ts';

let last = 0;

function segment(identity: string, facts: Partial<SegmentFacts> = {}): SegmentFacts {
  return { number: ++last, identity, device: 0, bytes: 100, sealed: true, idleSeconds: 10, ...facts };
}

function tenants(...rows: readonly (readonly [string, Policy, number?])[]): Map<string, Tenant> {
  return new Map(rows.map(([name, policy, idleSeconds = 0]) => [name, { policy, idleSeconds }]));
}

test('what is in use under keep and auto never goes, however much is wanted', () => {
  const segments = [segment('a', { idleSeconds: 9e9 }), segment('b', { idleSeconds: 9e9 })];
  assert.deepEqual(pickVictims(segments, tenants(['a', 'keep'], ['b', 'auto']), Infinity), []);
});

test('segments of nobody go first, then streams, then what nobody read for an hour, then the coldest of sieve', () => {
  const [sieveWarm, sieveCold] = [segment('sieve', { idleSeconds: 1 }), segment('sieve', { idleSeconds: 500 })];
  const [idle, stream, orphan] = [segment('idle'), segment('stream'), segment('gone')];
  const among = tenants(['sieve', 'sieve'], ['idle', 'keep', idleTenantSeconds], ['stream', 'stream']);
  const all = pickVictims([sieveWarm, idle, sieveCold, stream, orphan], among, Infinity);
  assert.deepEqual(
    all,
    [orphan, stream, idle, sieveCold, sieveWarm].map(({ number }) => number),
  );
});

test('no more goes than is wanted, and an open segment never', () => {
  const segments = [segment('gone', { sealed: false }), segment('gone'), segment('gone'), segment('gone')];
  assert.deepEqual(pickVictims(segments, new Map(), 150), [segments[1]?.number, segments[2]?.number]);
  assert.deepEqual(pickVictims(segments, new Map(), 0), []);
});
