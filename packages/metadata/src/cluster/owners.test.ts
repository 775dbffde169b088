import assert from 'node:assert/strict';
import { test } from 'node:test';

import { always, MemoryState, MemoryStore } from '@millpool/coordination/testing';
import { silentLog } from '@millpool/host';
import { HandClock } from '@millpool/host/testing';

import { ClusterView } from './cluster-view.ts';
import { Owners } from './owners.ts';
import { encodeShard, shardKey } from './shard-record.ts';

test('what an owner told stands until the store shows as much, or an owner knows better', async (t) => {
  const clock = new HandClock();
  const store = new MemoryStore(new MemoryState(), clock);
  const own = async (owner: string, term: number): Promise<void> => {
    await store.txn(always({ kind: 'put', key: shardKey(1), value: encodeShard({ owner, term }) }));
    await clock.advance(0);
  };
  await own('b', 5);
  const view = await ClusterView.open({ store, shards: 4, clock, log: silentLog });
  t.after(async () => {
    view.close();
    await store.close();
  });
  const owners = new Owners({ id: 'a', view });
  assert.equal(owners.otherOf(0), null, 'nobody has it');
  assert.equal(owners.otherOf(1)?.owner, 'b');
  assert.equal(owners.learn(1, { owner: 'c', term: 5 }), false, 'no newer');
  assert.equal(owners.learn(1, { owner: 'c', term: 6 }), true);
  assert.equal(owners.otherOf(1)?.owner, 'c');
  await own('a', 6);
  assert.equal(owners.otherOf(1), null, 'it has it itself');

  // The map was lost and made anew: terms began again.
  assert.equal(owners.learn(1, { owner: 'c', term: 57 }), true);
  await own('b', 1);
  assert.equal(owners.otherOf(1)?.owner, 'c', 'as it was told');
  assert.equal(owners.learn(1, { owner: 'b', term: 1 }), false);
  assert.equal(owners.otherOf(1)?.owner, 'b');
});
