import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { openEtcdStore } from '@millpool/coordination/etcd';
import { systemClock } from '@millpool/host';

import { CutProxy } from '../harness/cut-proxy.ts';
import { ensureEtcd } from '../harness/etcd-binary.ts';
import { Etcd } from '../harness/etcd.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';
import type { TemporaryFolder } from '../harness/temporary-folder.ts';
import { Operator } from '../simulation/operator.ts';
import { Random } from '../simulation/random.ts';
import { Claims } from './claims.ts';

const program = fileURLToPath(new URL('member.js', import.meta.url));
const shards = 64;
const ids = ['a', 'b', 'c', 'd'] as const;
type Id = (typeof ids)[number];
const deadlineMs = 60_000;
/** Longer than a node's lease lives. */
const longMs = 9_000;
const lookEveryMs = 20;

const built = await ensureEtcd({ say: (text) => void process.stderr.write(`${text}\n`) });

describe('four nodes and an etcd, as processes', { skip: built.kind === 'unavailable' && built.why }, () => {
  const claims = new Claims(shards);
  const children = new Map<Id, ChildProcess>();
  const links = new Map<Id, CutProxy>();
  let folder: TemporaryFolder;
  let etcd: Etcd;

  before(async () => {
    assert.ok(built.kind === 'ready');
    folder = await temporaryFolder('cluster');
    etcd = await Etcd.start({ binary: built.what, directory: folder.path });
    for (const id of ids) {
      const link = await CutProxy.start(Number(etcd.endpoint.split(':')[1]));
      links.set(id, link);
      const child = spawn(process.execPath, [program, id, `etcd://${link.endpoint}`, String(shards)], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      children.set(id, child);
      createInterface({ input: child.stdout }).on('line', (line) => claims.add(id, line));
    }
  });
  after(async () => {
    for (const child of children.values()) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    for (const link of links.values()) await link.stop();
    await etcd.stop();
    await folder.remove();
  });

  /** Seconds until it is so. */
  async function until(what: string, isSo: () => boolean): Promise<number> {
    const start = performance.now();
    while (!isSo()) {
      assert.ok(performance.now() - start < deadlineMs, `${what}, within ${deadlineMs / 1000} s`);
      await sleep(lookEveryMs);
    }
    return (performance.now() - start) / 1000;
  }

  /** All of them who still run, but one. */
  function othersOf(id: Id | null): Id[] {
    return ids.filter((each) => each !== id && children.get(each)?.signalCode === null);
  }

  /** Who owns most of them: what is done to it matters. */
  function busiest(): Id {
    const [first] = othersOf(null).sort((one, other) => claims.countOf(other) - claims.countOf(one));
    assert.ok(first !== undefined && claims.countOf(first) > 0, 'somebody owns something');
    return first;
  }

  test('own every shard once', async () => {
    await until('all have joined', () => ids.every((id) => claims.has(id)));
    await until('all shards are owned', () => claims.areAllOwnedBy(ids));
    claims.check();
  });

  test('share them out when an operator asks for it', async (t) => {
    const store = await openEtcdStore(`etcd://${etcd.endpoint}`);
    try {
      const operator = await Operator.open({ store, shards, clock: systemClock, random: new Random(1) });
      const moves = await operator.balance();
      const seconds = await until('all own the same', () =>
        ids.every((id) => claims.countOf(id) === shards / ids.length),
      );
      operator.close();
      t.diagnostic(`${moves} moves in ${seconds.toFixed(1)} s`);
    } finally {
      await store.close();
    }
    claims.check();
  });

  test('a node that is killed loses its shards to all others', async (t) => {
    const id = busiest();
    children.get(id)?.kill('SIGKILL');
    const seconds = await until('the others own all', () => claims.areAllOwnedBy(othersOf(id)));
    t.diagnostic(
      `after ${seconds.toFixed(1)} s: ${othersOf(id)
        .map((other) => claims.countOf(other))
        .join(', ')}`,
    );
    for (const other of othersOf(id)) assert.ok(claims.countOf(other) > 0, other);
    claims.check();
  });

  test('a node that stood still answers for nothing that others have by then', async () => {
    const id = busiest();
    children.get(id)?.kill('SIGSTOP');
    await until('the others own all', () => claims.areAllOwnedBy(othersOf(id)));
    children.get(id)?.kill('SIGCONT');
    await until('it owns nothing', () => claims.countOf(id) === 0);
    claims.check();
  });

  test('a node that is cut off gives up before others have its shards', async () => {
    const id = busiest();
    const link = links.get(id) ?? assert.fail(id);
    link.cut();
    await until('it owns nothing', () => claims.countOf(id) === 0);
    assert.ok(link.swallowedBytes > 0, 'the cut is in force');
    await until('the others own all', () => claims.areAllOwnedBy(othersOf(id)));
    link.mend();
    claims.check();
  });

  test('while the store stands still all give up; then everything is owned again', async () => {
    busiest();
    process.kill(etcd.pid, 'SIGSTOP');
    await until('nobody owns anything', () => othersOf(null).every((id) => claims.countOf(id) === 0));
    await sleep(longMs);
    process.kill(etcd.pid, 'SIGCONT');
    await until('all shards are owned', () => claims.areAllOwnedBy(othersOf(null)));
    claims.check();
  });

  test('so it is when the store is killed and started again', async () => {
    await etcd.kill();
    await until('nobody owns anything', () => othersOf(null).every((id) => claims.countOf(id) === 0));
    await etcd.restart();
    await until('all shards are owned', () => claims.areAllOwnedBy(othersOf(null)));
    claims.check();
  });
});
