import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import type { Change, CoordStore } from '@millpool/coordination';
import { openEtcdStore } from '@millpool/coordination/etcd';

import type { Etcd } from '../harness/etcd.ts';
import { freeze } from '../harness/server-process.ts';
import {
  addressOf,
  always,
  etcdOf,
  isAmbiguous,
  membersOf,
  put,
  storeOf,
  testWithEtcds,
  unending,
} from './etcd-bed.ts';

const numbers = 400;
const settleMs = 50;

testWithEtcds('nothing is lost', {
  'where etcd is killed and started again': async (t, binary) => {
    const etcd = await etcdOf(t, { binary });
    await countThrough(t, [etcd], async () => {
      await etcd.kill();
      await sleep(700);
      await etcd.restart();
    });
  },
  'where etcd is frozen for longer than calls wait': async (t, binary) => {
    const etcd = await etcdOf(t, { binary });
    await countThrough(t, [etcd], async () => {
      await freeze(etcd.pid);
      await sleep(4_000);
      process.kill(etcd.pid, 'SIGCONT');
    });
  },
  'where of three members the one that serves is killed': async (t, binary) => {
    const members = await membersOf(t, 3, { binary });
    // The first that is named is the first that is asked.
    await countThrough(t, members, async () => members[0]?.kill());
  },
});

testWithEtcds('a call ends', {
  'at its deadline, with what it was, where etcd is frozen': async (t, binary) => {
    const etcd = await etcdOf(t, { binary });
    const store = await storeOf(t, etcd);
    await store.get('/a');
    await freeze(etcd.pid);
    const calls = {
      'reading a key': store.get('/a'),
      'a transaction': store.txn(always(put('/a', ''))),
      'granting a lease': store.grantLease(10),
      'keeping a lease': store.keepLease(7),
    };
    const outcomes = await Promise.allSettled(Object.values(calls));
    for (const [place, what] of Object.keys(calls).entries()) {
      const outcome = outcomes[place];
      assert.ok(outcome?.status === 'rejected' && isAmbiguous(outcome.reason), what);
      assert.ok(String(outcome.reason).includes(what), String(outcome.reason));
    }
    process.kill(etcd.pid, 'SIGCONT');
    assert.equal(await store.get('/none'), null);
  },
  'by another member, where the one that was asked to keep a lease is frozen': async (t, binary) => {
    const members = await membersOf(t, 3, { binary });
    // Once they have a leader, a new store stays with the first that it is told of.
    await (await storeOf(t, ...members)).txn(always(put('/a', '')));
    // Patient: a new leader takes a while to know its leases.
    const store = await openEtcdStore(addressOf(...members), { callTimeoutMs: 30_000 });
    t.after(() => store.close());
    const lease = await store.grantLease(60);
    const [asked, ...others] = members;
    const pid = asked?.pid ?? assert.fail('three members');
    await freeze(pid);
    try {
      const other = await storeOf(t, ...others);
      // The frozen one may have been the leader.
      while ((await other.txn(always(put('/a', ''))).catch(isAmbiguous)) === true);
      assert.deepEqual(await store.keepLease(lease.id), lease);
    } finally {
      process.kill(pid, 'SIGCONT');
    }
  },
});

/** A watch, acknowledged puts and a lease, through what is done to etcd in their middle. */
async function countThrough(t: TestContext, members: readonly Etcd[], hurt: () => Promise<void>): Promise<void> {
  const store = await storeOf(t, ...members);
  const lease = await store.grantLease(30);
  const { revision } = await store.txn(always(put('/alive', '', lease.id)));
  const watched = counted(store.watch({ prefix: '/count/', fromRevision: revision + 1, signal: unending }));
  const writing = count(store);
  await sleep(settleMs);
  await hurt();
  await writing;
  assert.deepEqual(await watched, [...Array(numbers).keys()]);
  const { entries } = await store.range({ prefix: '/count/', limit: numbers, after: null });
  assert.equal(entries.length, numbers);
  assert.equal((await store.keepLease(lease.id)).id, lease.id);
  assert.notEqual(await store.get('/alive'), null);
}

/** Puts numbers one after the other, each until it is known to be there. */
async function count(store: CoordStore): Promise<void> {
  for (let number = 0; number < numbers; number += 1) {
    for (let isThere = false; !isThere;) {
      try {
        await store.txn(always(put(`/count/${number}`, String(number))));
        isThere = true;
      } catch (thrown) {
        if (!isAmbiguous(thrown)) throw thrown;
      }
    }
  }
}

/** Numbers in the order in which they came first; a gap would leave one out. */
async function counted(changes: AsyncIterable<Change>): Promise<number[]> {
  const seen = new Set<number>();
  let last = 0;
  for await (const { revision, events } of changes) {
    assert.ok(revision > last, `${revision} after ${last}`);
    last = revision;
    for (const event of events) if (event.kind === 'put') seen.add(Number(event.entry.key.slice('/count/'.length)));
    if (seen.has(numbers - 1)) break;
  }
  return [...seen];
}
