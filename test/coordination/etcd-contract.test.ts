import { setTimeout as sleep } from 'node:timers/promises';

import { coordStoreSuite } from '@millpool/coordination/testing';
import type { SuiteCase } from '@millpool/coordination/testing';

import { etcdOf, storeOf, testWithEtcds } from './etcd-bed.ts';
import type { EtcdTest } from './etcd-bed.ts';

testWithEtcds(
  'the contract of coordination stores',
  Object.fromEntries(coordStoreSuite.map((suiteCase) => [suiteCase.name, testOf(suiteCase)])),
);

function testOf({ run }: SuiteCase): EtcdTest {
  return async (t, binary) => {
    const etcd = await etcdOf(t, { binary });
    const store = await storeOf(t, etcd);
    await run({
      store,
      passSeconds: (seconds) => sleep(seconds * 1_000),
      async dropHistory() {
        const { revision } = await store.range({ prefix: '', limit: 1, after: null });
        await etcd.ask('kv/compaction', { revision });
      },
      async reopen() {
        await store.close();
        await etcd.kill();
        await etcd.restart();
        return storeOf(t, etcd);
      },
    });
  };
}
