import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { RecordFacts } from '@millpool/native';

import { whyMissing } from './why-records.ts';

const at = { policy: 'auto', nowSeconds: 100 } as const;

function absent(bytes: number, kind?: NonNullable<RecordFacts['fate']>['kind'], atSeconds = 90): RecordFacts {
  return kind === undefined ? { bytes, state: 'absent' } : { bytes, state: 'absent', fate: { kind, atSeconds } };
}

test('a record without a fate was never read only where no fate was forgotten', () => {
  const records = [absent(10)];
  assert.equal(whyMissing({ records, fatesComplete: true }, at)[0]?.reason, 'never-read');
  assert.equal(whyMissing({ records, fatesComplete: false }, at)[0]?.reason, 'forgotten');
});

test('records are gathered by reason, the most bytes first, each with its last event', () => {
  const fetching: RecordFacts = { bytes: 50, state: 'fetching', fate: { kind: 'evicted', atSeconds: 20 } };
  const records = [absent(10, 'damaged', 60), absent(20, 'damaged', 80), fetching, absent(5, 'no-room')];
  assert.deepEqual(whyMissing({ records, fatesComplete: true }, at), [
    { reason: 'under-way', records: 1, bytes: 50, secondsAgo: null },
    { reason: 'damaged', records: 2, bytes: 30, secondsAgo: 20 },
    { reason: 'full', records: 1, bytes: 5, secondsAgo: 10 },
  ]);
});
