import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';

import { always, MemoryState, MemoryStore } from '@millpool/coordination/testing';
import { silentLog } from '@millpool/host';
import { HandClock } from '@millpool/host/testing';
import { MillpoolError } from '@millpool/protocol';
import type { Reply } from '@millpool/protocol';

import { ClusterView } from './cluster-view.ts';
import { encodeNode, nodeKey } from './node-record.ts';
import { Peers } from './peers.ts';
import type { PeerConnection } from './peers.ts';

type Manner = 'answers' | 'hangs' | 'refuses' | 'takes long to refuse';

/** One other node, in whatever state the test gives it; and how often it was connected to and asked. */
async function bed(t: TestContext) {
  const clock = new HandClock();
  const store = new MemoryStore(new MemoryState(), clock);
  const record = { id: 'b', address: '10.0.0.2:7070', version: '0', roles: ['metadata'], joinedAt: '' } as const;
  await store.txn(always({ kind: 'put', key: nodeKey('b'), value: encodeNode(record) }));
  const view = await ClusterView.open({ store, shards: 4, clock, log: silentLog });
  const seen = { manner: 'answers' as Manner, connections: 0, calls: 0 };
  const connect = async (address: string): Promise<PeerConnection> => {
    assert.equal(address, record.address);
    seen.connections += 1;
    if (seen.manner === 'takes long to refuse') {
      await clock.sleep(5_000);
      throw new MillpoolError({ code: 'timeout', message: 'waited 5s for it', remedy: 'Wait.' });
    }
    if (seen.manner === 'refuses') {
      throw new MillpoolError({ code: 'unreachable', message: 'nobody is there', remedy: 'Wait.' });
    }
    const call = async (): Promise<never> => {
      seen.calls += 1;
      if (seen.manner === 'hangs') return new Promise<never>(() => {});
      return { answers: [] } as never;
    };
    return { call, close: async () => {} };
  };
  const peers = new Peers({ view, connect, clock, log: silentLog });
  const ask = (): Promise<Reply<'owner-lookup'> | string> =>
    peers
      .call(
        'b',
        { method: 'owner-lookup', request: { from: 'a', questions: [] } },
        { signal: new AbortController().signal, timeoutSeconds: 5 },
      )
      .catch((error: MillpoolError) => error.code);
  t.after(async () => {
    await peers.close();
    view.close();
    await store.close();
  });
  return { clock, store, seen, ask };
}

test('one connection is used for all, and made anew when the node is reached again', async (t) => {
  const { seen, ask, clock } = await bed(t);
  assert.deepEqual(await ask(), { answers: [] });
  assert.deepEqual(await ask(), { answers: [] });
  assert.deepEqual([seen.connections, seen.calls], [1, 2]);
  await clock.advance(0);
});

test('a node that hangs is waited for once, then passed over for twice as long each time', async (t) => {
  const { clock, seen, ask } = await bed(t);
  seen.manner = 'hangs';
  for (const awayMs of [1_000, 2_000, 4_000]) {
    const asked = ask();
    await clock.advance(5_000);
    assert.equal(await asked, 'timeout');
    const { calls } = seen;
    await clock.advance(awayMs - 1);
    assert.equal(await ask(), 'unreachable');
    assert.equal(seen.calls, calls, 'nobody asked it');
    await clock.advance(1);
  }
  seen.manner = 'answers';
  assert.deepEqual(await ask(), { answers: [] });
  seen.manner = 'hangs';
  const asked = ask();
  await clock.advance(5_000);
  assert.equal(await asked, 'timeout');
  await clock.advance(1_000);
  seen.manner = 'answers';
  assert.deepEqual(await ask(), { answers: [] }, 'it is a second again');
});

test('a node that nobody listens at is connected to again when its time is over', async (t) => {
  const { clock, seen, ask } = await bed(t);
  seen.manner = 'refuses';
  assert.equal(await ask(), 'unreachable');
  assert.equal(await ask(), 'unreachable');
  assert.equal(seen.connections, 1);
  seen.manner = 'answers';
  await clock.advance(1_000);
  assert.deepEqual(await ask(), { answers: [] });
  assert.equal(seen.connections, 2);
});

test('a connection that came to nothing, however late, is not kept', async (t) => {
  const { clock, seen, ask } = await bed(t);
  seen.manner = 'takes long to refuse';
  const asked = ask();
  await clock.advance(2_000);
  assert.equal(await asked, 'timeout');
  await clock.advance(30_000);
  seen.manner = 'answers';
  assert.deepEqual(await ask(), { answers: [] });
  assert.equal(seen.connections, 2);
});

test('a node that leaves the cluster is waited for no longer', async (t) => {
  const { clock, store, seen, ask } = await bed(t);
  seen.manner = 'hangs';
  const asked = ask();
  await clock.advance(100);
  await store.txn(always({ kind: 'delete', key: nodeKey('b') }));
  await clock.advance(0);
  assert.equal(await asked, 'unreachable');
  assert.equal(await ask(), 'unreachable');
});
