import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLog } from '@millpool/host';
import { HandClock } from '@millpool/host/testing';
import { MillpoolError } from '@millpool/protocol';
import { HeldLease } from './held-lease.ts';
import type { CoordStore } from './store.ts';
import { MemoryState, MemoryStore } from './testing/memory-store.ts';
import { always, put } from './testing/suite.ts';

const times = { ttlSeconds: 6, actSeconds: 4, keepEverySeconds: 1 };

/** A store that can be cut off, on a clock of its own. */
class CutStore {
  readonly clock = new HandClock();
  readonly store = new MemoryStore(new MemoryState(), this.clock);
  isCut = false;

  get link(): CoordStore {
    return new Proxy<CoordStore>(this.store, {
      get: (store, name) => {
        const method: unknown = Reflect.get(store, name);
        if (typeof method !== 'function') return method;
        return (...args: unknown[]) => {
          const away = new MillpoolError({ code: 'unreachable', message: 'the store is away', remedy: '' });
          return this.isCut ? Promise.reject(away) : method.apply(store, args);
        };
      },
    });
  }
}

test('a lease is kept for as long as the store is there', async () => {
  const { clock, link, store } = new CutStore();
  const lease = await HeldLease.grant({ store: link, clock, log: silentLog, times });
  await store.txn(always(put('/mine', '', lease.id)));
  await clock.advance(60_000);
  assert.ok(lease.isClearlyAlive);
  assert.notEqual(await store.get('/mine'), null);
  await lease.release();
  assert.ok(lease.ended.aborted && !lease.isClearlyAlive);
  assert.equal(await store.get('/mine'), null);
});

test('who is cut off stops acting before the store lets go, and goes on if it comes back before that', async () => {
  const cut = new CutStore();
  const { clock, link, store } = cut;
  const lease = await HeldLease.grant({ store: link, clock, log: silentLog, times });
  await store.txn(always(put('/mine', '', lease.id)));
  cut.isCut = true;
  await clock.advance(4_000);
  assert.ok(!lease.isClearlyAlive && !lease.ended.aborted);
  assert.notEqual(await store.get('/mine'), null);
  cut.isCut = false;
  await clock.advance(1_000);
  assert.ok(lease.isClearlyAlive);
  cut.isCut = true;
  await clock.advance(7_000);
  assert.ok(lease.ended.aborted && !lease.isClearlyAlive);
  assert.equal(await store.get('/mine'), null);
});

test('a lease that the store has ended is lost with the next attempt to keep it', async () => {
  const { clock, link, store } = new CutStore();
  const lease = await HeldLease.grant({ store: link, clock, log: silentLog, times });
  await store.revokeLease(lease.id);
  await clock.advance(1_000);
  assert.ok(lease.ended.aborted && !lease.isClearlyAlive);
});
