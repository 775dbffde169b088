/**
 * A node of a cluster in a process of its own: `member.js ID ADDRESS SHARDS`. Each 20 ms it prints what it would answer
 * for: `MICROSECONDS SHARD:TERM…`, by the clock that all processes of the machine share, read before the node is asked.
 */
import { setTimeout as sleep } from 'node:timers/promises';

import { openEtcdStore } from '@millpool/coordination/etcd';
import { silentLog, systemClock } from '@millpool/host';
import { ClusterNode } from '@millpool/metadata/cluster';

const everyMs = 20;
const [id = '', address = '', shardsText = ''] = process.argv.slice(2);
const shards = Number(shardsText);

const cluster = await ClusterNode.start({
  node: { id, address: `${id}:7070`, version: '0.0.0', roles: ['metadata'] as const },
  shards,
  store: await openEtcdStore(address, { callTimeoutMs: 2_000 }),
  clock: systemClock,
  log: silentLog,
});
for (;;) {
  const micros = process.hrtime.bigint() / 1_000n;
  const owned: string[] = [];
  for (let shard = 0; shard < shards; shard += 1) {
    const term = cluster.termOf(shard);
    if (term !== null) owned.push(`${shard}:${term}`);
  }
  process.stdout.write(`${[micros, ...owned].join(' ')}\n`);
  await sleep(everyMs);
}
