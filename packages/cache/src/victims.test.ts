import assert from 'node:assert/strict';
import { test } from 'node:test';

import { pickVictims } from './victims.ts';
import type { SegmentFacts } from './victims.ts';

let last = 0;

function segment(identity: string, facts: Partial<SegmentFacts> = {}): SegmentFacts {
  const rest = {
    device: 0,
    tier: 'fast' as const,
    bytes: 100,
    liveBytes: 100,
    pinnedBytes: 0,
    sealed: true,
    idleSeconds: 10,
    reads: 0,
    generation: 1,
  };
  return { number: ++last, identity, ...rest, ...facts };
}

test('the first giver gives first: what has the least live, then what is longest unread', () => {
  const [warm, cold] = [segment('a', { idleSeconds: 1 }), segment('a', { idleSeconds: 500 })];
  const [halfDead, other] = [segment('a', { liveBytes: 40 }), segment('b')];
  const givers = [
    { identity: 'b', bytesMax: Infinity },
    { identity: 'a', bytesMax: Infinity },
  ];
  assert.deepEqual(pickVictims([warm, cold, halfDead, other], givers, Infinity), [other, halfDead, cold, warm]);
});

test('no more goes than is wanted or than a giver is to give, and nothing open, pinned, or of another', () => {
  const segments = [segment('a', { sealed: false }), segment('a'), segment('a'), segment('a'), segment('c')];
  const givers = [{ identity: 'a', bytesMax: Infinity }];
  const pinned = segment('a', { pinnedBytes: 1, liveBytes: 1 });
  assert.deepEqual(pickVictims([pinned, ...segments], givers, 150), [segments[1], segments[2]]);
  assert.deepEqual(pickVictims(segments, givers, 0), []);
  assert.deepEqual(pickVictims(segments, [{ identity: 'a', bytesMax: 199 }], Infinity), [segments[1]]);
});
