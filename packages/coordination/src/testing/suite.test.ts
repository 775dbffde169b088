import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Change, CoordStore, RangeRequest, Txn, WatchRequest } from '../store.ts';
import { broken } from './broken-store.ts';
import { lmdbUnderTest } from './lmdb-under-test.ts';
import { coordStoreSuite } from './suite.ts';

/** Ways in which a driver could be wrong. The suite must notice each. */
const faults: Readonly<Record<string, (store: CoordStore) => CoordStore>> = {
  'ignores comparisons': (store) => broken(store, { txn: (txn: Txn) => store.txn({ ...txn, compare: [] }) }),
  'ignores `after`': (store) =>
    broken(store, { range: (request: RangeRequest) => store.range({ ...request, after: null }) }),
  'forgets that there is more': (store) =>
    broken(store, { range: async (request: RangeRequest) => ({ ...(await store.range(request)), more: false }) }),
  'skips the first change of a watch': (store) =>
    broken(store, {
      watch: (request: WatchRequest) => store.watch({ ...request, fromRevision: request.fromRevision + 1 }),
    }),
  'ignores the prefix of a watch': (store) =>
    broken(store, { watch: (request: WatchRequest) => store.watch({ ...request, prefix: '' }) }),
  'brings the events of a change one by one': (store) =>
    broken(store, {
      async *watch(request: WatchRequest): AsyncIterable<Change> {
        for await (const { revision, events } of store.watch(request)) {
          for (const event of events) yield { revision, events: [event] };
        }
      },
    }),
  'lets leases live': (store) => broken(store, { grantLease: async () => store.grantLease(1_000_000) }),
  'does not revoke': (store) => broken(store, { revokeLease: async () => {} }),
  'does not close': (store) => broken(store, { close: async () => {} }),
};

for (const [fault, breaking] of Object.entries(faults)) {
  test(`the suite notices a store that ${fault}`, { timeout: 60_000 }, async (t) => {
    const outcomes = await Promise.all(
      coordStoreSuite.map(async ({ run }) => {
        const under = await lmdbUnderTest(t, breaking);
        // A fault may show as a wait that never ends: what has not ended once all else stands still has failed.
        return Promise.race([
          run(under).then(
            () => 'passed',
            () => 'failed',
          ),
          quiet(under.passSeconds),
        ]);
      }),
    );
    assert.ok(
      outcomes.some((outcome) => outcome !== 'passed'),
      'every case passed',
    );
  });
}

async function quiet(passSeconds: (seconds: number) => Promise<void>): Promise<string> {
  for (let turns = 0; turns < 2_000; turns += 1) await passSeconds(0);
  return 'hangs';
}
