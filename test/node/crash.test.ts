import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { connect } from '@millpool/client';

import { FolderNode } from '../harness/folder-node.ts';
import { seededRandom } from '../harness/seeded-random.ts';

const seed = Number(process.env['MILLPOOL_TEST_SEED'] ?? Date.now() % 100_000);
const rounds = 8;
let node: FolderNode;

before(async () => {
  node = await FolderNode.start('crash', { files: 600, seed, bytesMin: 0, bytesMax: 120_000 });
});
after(() => node.stop());

/** Every byte of the namespace against the source, through a new connection. */
async function compareAll(): Promise<void> {
  await using mill = await connect({ socket: node.socket });
  for (let first = 0; first < node.paths.length; first += 100) {
    const paths = node.paths.slice(first, first + 100);
    using batch = await mill.readMany(paths);
    for (const [i, path] of paths.entries()) assert.deepEqual(Buffer.from(batch.sample(i)), node.bytesOf(path), path);
  }
}

test(`kill -9 of the daemon in mid-load, ${rounds} times: every byte is right afterwards (seed ${seed})`, async () => {
  const random = seededRandom(seed);
  let killedEarly = 0;
  for (let round = 0; round < rounds; round += 1) {
    await node.run('free', '/source');
    const load = node.run('load', '/source', '--wait', '--json');
    await sleep(5 + random() * 250);
    await node.restart('SIGKILL');
    if ((await load).code !== 0) killedEarly += 1;
    await compareAll();
  }
  assert.ok(killedEarly > 0, 'at least one load was under way when its daemon was killed');
});

test('kill -9 of a client in the middle of its reads leaves the daemon whole and holding nothing', async () => {
  const script = `
    import { connect } from '@millpool/client';
    const mill = await connect({ socket: ${JSON.stringify(node.socket)} });
    const data = await mill.dataset('/source');
    const loader = data.loader({ batchSize: 32, shuffle: true });
    process.stdout.write('reading\\n');
    for (;;) for await (const batch of loader) batch.release();
  `;
  for (let round = 0; round < rounds; round += 1) {
    if (round % 2 === 0) await node.run('free', '/source');
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      cwd: import.meta.dirname,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(child.stdout, 'data');
    await sleep(20 * round);
    child.kill('SIGKILL');
    await once(child, 'exit');
    assert.equal(child.signalCode, 'SIGKILL');
  }
  await compareAll();
});

test('a daemon that is killed and comes back in mid-epoch: the loop goes on, every sample right', async () => {
  await using mill = await connect({ socket: node.socket });
  const data = await mill.dataset('/source');
  const seen = new Set<number>();
  let restarted: Promise<void> | null = null;
  for await (using batch of data.loader({ batchSize: 16, shuffle: true, seed, prefetch: 1 })) {
    for (let i = 0; i < batch.length; i += 1) {
      seen.add(batch.index(i));
      assert.deepEqual(Buffer.from(batch.sample(i)), node.bytesOf(batch.path(i)));
    }
    if (seen.size > 200) restarted ??= node.restart('SIGKILL');
  }
  await restarted;
  assert.ok(restarted !== null);
  assert.equal(seen.size, data.length);
});
