import assert from 'node:assert/strict';
import { rename } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { connect } from '@millpool/client';
import type { Mill } from '@millpool/client';
import type { Status } from '@millpool/protocol';

import { FolderNode } from '../harness/folder-node.ts';

const patienceMs = 60_000;
const pollMs = 100;
let node: FolderNode;

before(async () => {
  node = await FolderNode.start('away', { files: 40, seed: 5, bytesMin: 1, bytesMax: 30_000 });
});

after(() => node.stop());

async function status(): Promise<Status> {
  return JSON.parse((await node.run('status', '--json')).stdout) as Status;
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + patienceMs; !(await holds()); await sleep(pollMs)) {
    assert.ok(Date.now() < deadline, `${what}: not within ${patienceMs} ms`);
  }
}

async function withMill<T>(use: (mill: Mill) => Promise<T>): Promise<T> {
  const mill = await connect({ socket: node.socket });
  try {
    return await use(mill);
  } finally {
    await mill.close();
  }
}

test('a source that is away at start: what is cached is read, the rest fails by name, and it comes back', async () => {
  const cached = node.paths.filter((path) => path.includes('/file-00000'));
  const version = await withMill(async (mill) => {
    const data = await mill.dataset(node.root);
    using batch = await mill.readMany(cached);
    assert.equal(batch.length, cached.length);
    return data.version;
  });
  await until('every read record is in a segment', async () => (await status()).cache.records >= cached.length);
  const hidden = `${node.source}-hidden`;
  await rename(node.source, hidden);
  await node.restart('SIGINT');
  const [away] = (await status()).attachments;
  assert.equal(away?.error?.code, 'source-unavailable', 'the source is away');

  await withMill(async (mill) => {
    const data = await mill.dataset(node.root, { version });
    const numbers = new Map(node.paths.map((_, i) => [data.path(i), i]));
    using hits = await data.readMany(cached.map((path) => numbers.get(path) ?? -1));
    cached.forEach((path, i) => assert.deepEqual(Buffer.from(hits.sample(i)), node.bytesOf(path)));

    const loader = data.loader({ batchSize: 16, onError: 'keep' });
    let failed = 0;
    for await (using batch of loader) {
      for (let i = 0; i < batch.length; i += 1) {
        const error = batch.error(i);
        if (error === undefined) assert.deepEqual(Buffer.from(batch.sample(i)), node.bytesOf(batch.path(i)));
        else assert.equal(error.code, 'source-unavailable');
        failed += error === undefined ? 0 : 1;
      }
    }
    assert.equal(failed, node.paths.length - cached.length);
  });
  const shown = await node.run('status');
  assert.match(shown.stdout, /away: .*source/);

  await rename(hidden, node.source);
  await until('the source is used again', async () => (await status()).attachments[0]?.error === null);
  await withMill(async (mill) => {
    using batch = await mill.readMany(node.paths);
    node.paths.forEach((path, i) => assert.deepEqual(Buffer.from(batch.sample(i)), node.bytesOf(path)));
  });
});

test('a dataset version is read through another attachment of the same source, and what is left as well', async () => {
  await node.run('free', node.root);
  const version = await withMill(async (mill) => (await mill.dataset(node.root)).version);
  assert.equal((await node.run('detach', node.root)).code, 0);
  await withMill(async (mill) => {
    await assert.rejects(mill.dataset(node.root, { version }), { code: 'not-found' });
  });
  assert.equal((await node.run('attach', node.source, '--at', node.root)).code, 0);
  await withMill(async (mill) => {
    const data = await mill.dataset(node.root, { version });
    using batch = await data.readMany(Array.from(node.paths.keys()));
    node.paths.forEach((path, i) => assert.deepEqual(Buffer.from(batch.sample(i)), node.bytesOf(path)));
  });
});

test('one folder at two places: a version is found at both', async () => {
  assert.equal((await node.run('attach', node.source, '--at', '/twin')).code, 0);
  await withMill(async (mill) => {
    const here = await mill.dataset(node.root);
    const there = await mill.dataset('/twin');
    assert.equal(there.version, here.version);
    for (const [root, data] of [
      [node.root, await mill.dataset(node.root, { version: here.version })],
      ['/twin', await mill.dataset('/twin', { version: here.version })],
    ] as const) {
      assert.equal(data.path(0), node.paths[0]?.replace(node.root, root));
    }
    await assert.rejects(mill.dataset(`${node.root}/part-000`, { version: here.version }), { code: 'invalid' });
  });
  assert.equal((await node.run('detach', '/twin')).code, 0);
});
