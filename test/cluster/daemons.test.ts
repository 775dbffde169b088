import assert from 'node:assert/strict';
import { mkdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { openEtcdStore } from '@millpool/coordination/etcd';
import type { DirectoryStatus, HotDirectory, RebalancePlan, RebalanceStatus } from '@millpool/protocol';

import { ClusterBed } from '../harness/cluster-bed.ts';
import { errorOf, objectsOf } from '../harness/command-output.ts';
import { ensureEtcd } from '../harness/etcd-binary.ts';
import type { CommandResult } from '../harness/millpool-process.ts';

const directories = Array.from({ length: 24 }, (_, at) => `class-${at}`);
const shards = 64;
const longMs = 7_000;
const built = await ensureEtcd({ say: (text) => void process.stderr.write(`${text}\n`) });
const skip = built.kind === 'unavailable' && built.why;

describe('daemons of a cluster', { skip, timeout: 300_000 }, () => {
  let bed: ClusterBed;
  const everybody = ['meta-1', 'meta-2', 'whole', 'cache'];

  before(async () => {
    assert.ok(built.kind === 'ready');
    bed = await ClusterBed.start(built.what, shards);
    const source = join(bed.path, 'train');
    for (const directory of directories) {
      await mkdir(join(source, directory), { recursive: true });
      for (const file of ['a', 'b']) await writeFile(join(source, directory, file), `${directory} ${file}`);
    }
    await Promise.all([bed.add('meta-1', 'metadata'), bed.add('meta-2', 'metadata')]);
    await bed.add('whole', [source]);
    await bed.add('cache', 'cache');
  });
  after(() => bed.stop());

  async function run(name: string, ...args: readonly string[]): Promise<CommandResult> {
    const result = await bed.node(name).run(...args);
    assert.equal(result.code, 0, `${args.join(' ')} at ${name}: ${result.stderr}`);
    return result;
  }

  /** Every file is where it is and has what it has, however the cluster is. */
  async function readsRight(name: string): Promise<void> {
    const paths = directories.map((directory) => `/train/${directory}/a`);
    const found = objectsOf<{ path: string; sizeBytes: number }>(await bed.node(name).run('stat', ...paths, '--json'));
    assert.deepEqual(
      found.map(({ path, sizeBytes }) => [path, sizeBytes]),
      directories.map((directory) => [`/train/${directory}/a`, directory.length + 2]),
    );
    const none = await bed.node(name).run('stat', '/train/class-7/none', '--json');
    assert.equal(errorOf(none).code, 'not-found');
    assert.equal((await run(name, 'ls', '/train/class-3')).stdout, 'a\nb\n');
  }

  test('know each other, own every shard, and see one namespace', async () => {
    for (const name of everybody) {
      await bed.untilServed(name);
      const nodes = await bed.nodesSeenBy(name);
      assert.deepEqual(nodes.map(({ roles }) => roles.join('+')).sort(), [
        ...['cache', 'metadata', 'metadata', 'metadata+cache'],
      ]);
      assert.equal(nodes.find(({ roles }) => !roles.includes('metadata'))?.shards, 0);
      await readsRight(name);
    }
    assert.equal((await run('cache', 'cat', '/train/class-5/b')).stdout, 'class-5 b');
    assert.equal((await run('cache', 'find', '/train')).stdout.trim().split('\n').length, 1 + 3 * directories.length);
  });

  test('spread their shards when an operator asks, once', async () => {
    const [status] = objectsOf<RebalanceStatus & Record<string, unknown>>(
      await run('cache', 'admin', 'rebalance', 'run', '--at-once', '4', '--json'),
    );
    assert.equal(status?.state, 'done');
    assert.equal(status?.done, status?.moves);
    const nodes = await bed.nodesSeenBy('meta-1');
    const counts = nodes.filter(({ roles }) => roles.includes('metadata')).map((node) => node.shards);
    assert.ok(Math.max(...counts) - Math.min(...counts) <= 1, counts.join());
    const [plan] = objectsOf<RebalancePlan & Record<string, unknown>>(
      await run('meta-2', 'admin', 'rebalance', 'plan', '--json'),
    );
    assert.deepEqual(plan?.moves, []);
    for (const name of everybody) await readsRight(name);
  });

  test('move single shards, and say what cannot be', async () => {
    const id = bed.idOf('meta-1');
    await run('whole', 'admin', 'shards', 'move', '0-9', '20', '--to', id);
    await bed.until('they have moved', async () => {
      const seen = await bed.shardsSeenBy('meta-2');
      return [...seen.slice(0, 10), seen[20]].every((shard) => shard?.owner === id && shard.movingTo === null);
    });
    for (const name of everybody) await readsRight(name);
    const cache = bed.idOf('cache');
    const nowhere = await bed.node('whole').run('admin', 'shards', 'move', '1', '--to', cache, '--json');
    assert.equal(errorOf(nowhere).code, 'not-found');
    const beyond = await bed.node('whole').run('admin', 'shards', 'move', String(shards), '--to', id, '--json');
    assert.match(errorOf(beyond).message, /there is no shard 64/);
    assert.match((await run('whole', 'admin', 'shards', 'map')).stdout, new RegExp(id));
  });

  test('tell an operator which directories are hot', async () => {
    const again = Array.from({ length: 50 }, () => '/train/class-11/a');
    for (let round = 0; round < 4; round += 1) await run('cache', 'stat', ...again);
    for (const name of everybody) {
      const [hottest] = objectsOf<HotDirectory & Record<string, unknown>>(
        await run(name, 'admin', 'dirs', '--hot', '--limit', '1', '--json'),
      );
      assert.equal(hottest?.directory, '/train/class-11');
      assert.ok(hottest.readsPerS > 0);
    }
  });

  test('share a directory out, publish it and take it back when an operator asks', async () => {
    const hot = '/train/class-11';
    const states = [['split', '--parts', '8'], ['publish'], ['merge'], ['auto']] as const;
    for (const [act, ...flags] of states) {
      const [status] = objectsOf<DirectoryStatus & Record<string, unknown>>(
        await run('cache', 'admin', 'dirs', act, hot, ...flags, '--json'),
      );
      assert.equal(status?.rung, { split: 'split', publish: 'publish', merge: 'none', auto: 'none' }[act]);
      assert.equal(status.parts.length, act === 'split' ? 8 : 1);
      for (const name of ['cache', 'meta-2', 'cache', 'meta-2']) await readsRight(name);
      const shown = await run('meta-1', 'admin', 'dirs', 'show', hot);
      assert.match(shown.stdout, act === 'auto' ? /as its load needs/ : /as an operator asked/);
    }
    const badParts = await bed.node('whole').run('admin', 'dirs', 'split', hot, '--parts', '6');
    assert.equal(badParts.code, 2);
    const nowhere = await bed.node('whole').run('admin', 'dirs', 'publish', '/nowhere', '--json');
    assert.equal(errorOf(nowhere).code, 'not-found');
  });

  test('keep in a file what is only in etcd, and put back what was lost there', async () => {
    const file = join(bed.path, 'map.json');
    await run('cache', 'admin', 'map', 'export', file);
    assert.equal((await bed.node('cache').run('admin', 'map', 'export', file)).code, 1);
    assert.equal(((await stat(file)).mode & 0o777).toString(8), '600');
    assert.match((await run('whole', 'admin', 'map', 'verify', file)).stdout, /, 0 damaged, 0 missing, 0 changed/);
    const etcd = await openEtcdStore(`etcd://${bed.etcd.endpoint}`);
    try {
      await etcd.txn({
        compare: [],
        then: [
          { kind: 'delete', key: 'attachment/train' },
          { kind: 'put', key: 'cluster/shard/0005', value: Buffer.from('nonsense') },
        ],
        otherwise: [],
      });
    } finally {
      await etcd.close();
    }
    const spoilt = await bed.node('whole').run('admin', 'map', 'verify', file);
    assert.equal(spoilt.code, 1);
    assert.match(spoilt.stdout, /1 damaged, 1 missing, 0 changed/);
    await bed.until('it is not attached', async () => (await bed.node('meta-1').run('stat', '/train')).code === 4);
    assert.match((await run('meta-2', 'admin', 'map', 'restore', file)).stdout, /2 put back, 0 changed/);
    await bed.until('it is attached', async () => (await bed.node('meta-1').run('stat', '/train')).code === 0);
    await bed.untilServed('whole');
    for (const name of everybody) await readsRight(name);
    const none = await bed.node('whole').run('admin', 'map', 'restore', bed.tokenFile, '--json');
    assert.equal(errorOf(none).code, 'invalid');
  });

  test('know at once what is attached at another, and what is detached', async () => {
    const other = join(bed.path, 'other');
    await mkdir(other);
    await writeFile(join(other, 'file'), 'bytes of another');
    await run('whole', 'attach', other);
    await bed.until(
      'the cache node reads it',
      async () => (await bed.node('cache').run('cat', '/other/file')).code === 0,
    );
    assert.equal((await run('cache', 'cat', '/other/file')).stdout, 'bytes of another');
    const again = await bed.node('cache').run('attach', join(bed.path, 'train'), '--at', '/other', '--json');
    assert.equal(errorOf(again).code, 'exists');
    await run('cache', 'detach', '/other');
    await bed.until(
      'the others have heard',
      async () => (await bed.node('whole').run('stat', '/other/file')).code === 4,
    );
  });

  test('keep the shards of one that is restarted for it', async () => {
    const id = bed.idOf('meta-2');
    const ownersSeen = async () => (await bed.shardsSeenBy('cache')).map(({ owner, term }) => [owner, term]);
    const first = await ownersSeen();
    assert.ok(first.some(([owner]) => owner === id));
    await bed.node('meta-2').stop();
    const away = (await bed.nodesSeenBy('cache')).find((node) => node.id === id);
    assert.equal(away?.joinedAt, null);
    assert.ok(Date.parse(away.awaitedUntil ?? '') > Date.now());
    assert.match((await run('whole', 'admin', 'nodes')).stdout, /its shards wait until/);
    for (const name of ['whole', 'cache', 'meta-1']) await readsRight(name);
    assert.deepEqual(await ownersSeen(), first);
    await bed.add('meta-2', 'metadata');
    await bed.untilServed('cache');
    assert.deepEqual(await ownersSeen(), first);
    for (const name of everybody) await readsRight(name);
  });

  test('take over from one that is killed; what is read meanwhile is right', async (t) => {
    const id = bed.idOf('meta-2');
    const owned = (await bed.shardsSeenBy('whole')).filter(({ owner }) => owner === id).length;
    assert.ok(owned > 0);
    await bed.node('meta-2').stop('SIGKILL');
    for (const name of ['whole', 'cache', 'meta-1']) await readsRight(name);
    const seconds = await bed.until('the others have them', async () => {
      const seen = await bed.shardsSeenBy('cache');
      return seen.every(({ owner, isServed }) => owner !== id && isServed);
    });
    t.diagnostic(`${owned} shards served elsewhere after ${seconds.toFixed(1)} s`);
    for (const name of ['whole', 'cache', 'meta-1']) await readsRight(name);
    await bed.add('meta-2', 'metadata');
    assert.equal(bed.idOf('meta-2'), id);
    await run('meta-2', 'admin', 'rebalance', 'run');
    assert.ok(
      (await bed.nodesSeenBy('whole')).every(({ roles, shards: has }) => has > 0 === roles.includes('metadata')),
    );
  });

  test('read on while one stands still, and while etcd is away; then all is as before', async (t) => {
    process.kill(bed.node('meta-1').pid, 'SIGSTOP');
    for (const name of ['whole', 'cache']) await readsRight(name);
    await bed.untilServed('cache');
    process.kill(bed.node('meta-1').pid, 'SIGCONT');
    await bed.etcd.kill();
    await sleep(longMs);
    for (const name of ['whole', 'cache']) {
      await readsRight(name);
      assert.equal((await run(name, 'cat', '/train/class-9/a')).stdout, 'class-9 a');
    }
    const asked = await bed.node('whole').run('admin', 'nodes', '--json');
    assert.ok(['unreachable', 'timeout'].includes(errorOf(asked).code), asked.stderr);
    await bed.etcd.restart();
    t.diagnostic(`all is served ${(await bed.untilServed('whole')).toFixed(1)} s after etcd is back`);
    await bed.until('all are there', async () => {
      const nodes = await bed.nodesSeenBy('whole');
      return nodes.length === everybody.length && nodes.every(({ joinedAt }) => joinedAt !== null);
    });
    for (const name of everybody) await readsRight(name);
  });

  test('drain one, but not the last', async () => {
    const [first, second, third] = [bed.idOf('meta-1'), bed.idOf('meta-2'), bed.idOf('whole')];
    for (const id of [first, second]) {
      const [status] = objectsOf<RebalanceStatus & Record<string, unknown>>(
        await run('cache', 'admin', 'drain', id, '--json'),
      );
      assert.equal(status?.state, 'done');
    }
    const nodes = await bed.nodesSeenBy('cache');
    assert.equal(nodes.find(({ id }) => id === third)?.shards, shards, JSON.stringify(nodes));
    const last = await bed.node('cache').run('admin', 'drain', third, '--json');
    assert.match(errorOf(last).message, /is the last node that may have shards/);
    const nobody = await bed.node('cache').run('admin', 'undrain', third, '--json');
    assert.match(errorOf(nobody).message, /is not being drained/);
    await run('cache', 'admin', 'undrain', first);
    await run('cache', 'admin', 'undrain', second);
    await run('cache', 'admin', 'rebalance', 'run');
    for (const name of everybody) await readsRight(name);
  });

  test('let nobody in who has no token, or another one', async () => {
    const wrong = join(bed.path, 'wrong-token');
    await writeFile(wrong, 'not the token of this cluster', { mode: 0o600 });
    await assert.rejects(bed.add('stranger', 'cache', ['--token-file', wrong]), /knows another token/);
    await assert.rejects(bed.add('stranger', 'cache', []), /give this one the same/);
    assert.equal((await bed.nodesSeenBy('whole')).length, everybody.length);
  });
});
