import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLog } from '@millpool/host';
import { HandClock } from '@millpool/host/testing';
import { LiveRange } from './live-range.ts';
import type { KeyValue } from './store.ts';
import { MemoryState, MemoryStore } from './testing/memory-store.ts';
import { always, put } from './testing/suite.ts';

function decode({ value }: KeyValue): number {
  const number = Number(Buffer.from(value).toString());
  if (Number.isNaN(number)) throw new TypeError('no number');
  return number;
}

test('a range shows what was there, and each change; others and what cannot be read are passed over', async () => {
  const clock = new HandClock();
  const store = new MemoryStore(new MemoryState(), clock);
  await store.txn(always(put('n/a', '1'), put('n/b', '2'), put('o/a', '3')));
  const range = await LiveRange.open({ store, prefix: 'n/', decode, clock, log: silentLog });
  assert.deepEqual(
    [...range.entries],
    [
      ['a', 1],
      ['b', 2],
    ],
  );
  let told = 0;
  range.listen(() => (told += 1));
  await store.txn(always(put('n/a', '4'), { kind: 'delete', key: 'n/b' }, put('n/c', 'none')));
  await store.txn(always(put('o/a', '5')));
  await clock.advance(0);
  assert.deepEqual([...range.entries], [['a', 4]]);
  assert.equal(told, 1);
  await store.txn(always(put('n/c', '6')));
  await range.refresh();
  assert.equal(range.entries.get('c'), 6);
  range.close();
  await store.close();
});

test('a range whose changes are forgotten while it was away is read anew', async () => {
  const clock = new HandClock();
  const state = new MemoryState(3);
  const first = new MemoryStore(state, clock);
  // A watch that is cut after its first change, while more is written than is kept.
  let isCut = true;
  const store = new Proxy(first, {
    get: (target, name) => {
      if (name === 'watch' && isCut) {
        return (): AsyncIterable<never> => ({
          [Symbol.asyncIterator]: () => ({
            next: async () => {
              await clock.sleep(100);
              throw new Error('the connection is lost');
            },
          }),
        });
      }
      const method: unknown = Reflect.get(target, name);
      return typeof method === 'function' ? method.bind(target) : method;
    },
  });
  const range = await LiveRange.open({ store, prefix: 'n/', decode, clock, log: silentLog });
  for (let n = 0; n < 10; n += 1) await first.txn(always(put('n/a', String(n))));
  isCut = false;
  await clock.advance(2_000);
  assert.deepEqual([...range.entries], [['a', 9]]);
  await first.txn(always(put('n/a', '10')));
  await clock.advance(0);
  assert.deepEqual([...range.entries], [['a', 10]]);
  range.close();
  await first.close();
});

test('what a revision changed is shown by the watch, and by a look where no watch shows it', async () => {
  const clock = new HandClock();
  const store = new MemoryStore(new MemoryState(), clock);
  let looks = 0;
  let isDeaf = false;
  const counted = new Proxy(store, {
    get: (target, name) => {
      if (name === 'range') looks += 1;
      if (name === 'watch' && isDeaf) {
        return (): AsyncIterable<never> => ({
          [Symbol.asyncIterator]: () => ({ next: () => clock.sleep(60_000).then(() => assert.fail('it is over')) }),
        });
      }
      const method: unknown = Reflect.get(target, name);
      return typeof method === 'function' ? method.bind(target) : method;
    },
  });
  const open = (): Promise<LiveRange<number>> =>
    LiveRange.open({ store: counted, prefix: 'n/', decode, clock, log: silentLog });
  const range = await open();
  const { revision } = await store.txn(always(put('n/a', '1')));
  await range.reach(revision);
  assert.equal(range.entries.get('a'), 1);
  assert.equal(looks, 1, 'the first');
  range.close();

  isDeaf = true;
  const deaf = await open();
  const { revision: next } = await store.txn(always(put('n/a', '2')));
  let isThere = false;
  const reaching = deaf.reach(next).then(() => (isThere = true));
  await clock.advance(100);
  assert.deepEqual([isThere, deaf.entries.get('a')], [false, 1]);
  await clock.advance(1_000);
  await reaching;
  assert.equal(deaf.entries.get('a'), 2);
  deaf.close();
  await store.close();
});
