import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { CoordStore, RangeReply } from '@millpool/coordination';
import { broken } from '@millpool/coordination/testing';
import { leaseTimes, shardPrefix } from '@millpool/metadata/cluster';

import { runCluster } from './cluster-run.ts';
import type { Planted } from './cluster-run.ts';

const seeds = Number(process.env['MILLPOOL_TEST_SEEDS'] ?? 1_000);
/** Within so many a fault of the program is found. */
const seedsToFind = 1_000;

test(`no shard ever has two owners, and each has one soon: ${seeds} seeds`, { timeout: 1_800_000 }, async () => {
  assert.ok(seeds >= 1, 'MILLPOOL_TEST_SEEDS is a number of seeds');
  for (let seed = 0; seed < seeds; seed += 1) {
    const { failure } = await runCluster(seed);
    assert.equal(failure, null, `seed ${seed}; again with npm run simulate -- --seed ${seed}`);
  }
});

test('a seed gives the same run each time', { timeout: 120_000 }, async () => {
  assert.deepEqual(await runCluster(7), await runCluster(7));
});

/** Faults that the program could have. Each must be found. */
const faults: Readonly<Record<string, Planted>> = {
  'acts on a lease longer than the store keeps it': { times: { ...leaseTimes, actSeconds: 9 } },
  'gives shards away without a look whether their owner is gone': { store: withoutGoneChecks },
  'swaps an owner whatever the shard was by then': { store: withoutRevisions },
  'joins again, and goes by what it knew before it was put out': { store: withStaleRanges },
  'answers for what it knows to be its own, whatever became of its lease': {
    termOf: ({ id, view }, shard) => (view.ownerOf(shard)?.owner === id ? (view.ownerOf(shard)?.term ?? null) : null),
  },
  'answers again for a shard whose swap may still be on its way': { store: withoutNewTerms },
};

for (const [fault, planted] of Object.entries(faults)) {
  test(`the simulation finds a program that ${fault}`, { timeout: 600_000 }, async () => {
    for (let seed = 0; seed < seedsToFind; seed += 1) {
      if ((await runCluster(seed, planted)).failure !== null) return;
    }
    assert.fail(`not found in ${seedsToFind} seeds`);
  });
}

function withoutGoneChecks(store: CoordStore): CoordStore {
  return broken(store, {
    txn: (txn) => {
      const compare = txn.compare.filter((one) => !(one.kind === 'exists' && !one.exists && txn.then.length > 1));
      return store.txn({ ...txn, compare });
    },
  });
}

function withoutRevisions(store: CoordStore): CoordStore {
  return broken(store, {
    txn: (txn) => store.txn({ ...txn, compare: txn.compare.filter(({ kind }) => kind !== 'mod-revision') }),
  });
}

/** A new term of the same owner is said to be taken, and is not. */
function withoutNewTerms(store: CoordStore): CoordStore {
  return broken(store, {
    txn: async (txn) => {
      const [first] = txn.then;
      const isTerm =
        txn.then.length === 1 && txn.compare.length === 1 && first?.kind === 'put' && first.key.startsWith(shardPrefix);
      return isTerm ? { succeeded: true, revision: 0, results: [] } : store.txn(txn);
    },
  });
}

/** The first answer for a prefix that has anything in it, for ever. */
function withStaleRanges(store: CoordStore): CoordStore {
  const first = new Map<string, RangeReply>();
  return broken(store, {
    range: async (request) => {
      const reply = first.get(request.prefix) ?? (await store.range(request));
      if (reply.entries.length > 0) first.set(request.prefix, reply);
      return reply;
    },
  });
}
