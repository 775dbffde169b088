import assert from 'node:assert/strict';
import { rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { connect } from '@millpool/client';
import type { Dataset, Mill } from '@millpool/client';

import { FolderNode } from '../harness/folder-node.ts';
import { seededBytes } from '../harness/seeded-random.ts';

/** The same folder, attached so that every look-up asks the source. */
const strictRoot = '/strict';
let node: FolderNode;
let mill: Mill;
let version: Dataset;

before(async () => {
  node = await FolderNode.start('changes', { files: 12, seed: 3, bytesMin: 5000, bytesMax: 60_000 });
  assert.equal((await node.run('attach', node.source, '--at', strictRoot, '--freshness', 'strict')).code, 0);
  mill = await connect({ socket: node.socket });
  version = await mill.dataset(node.root);
});

after(async () => {
  await mill.close();
  await node.stop();
});

const fileOf = (path: string): string => join(node.source, path.slice(node.root.length));
const strictly = (path: string): string => strictRoot + path.slice(node.root.length);

/** Puts other bytes in the place of a file, as who rewrites a data set does. */
async function replace(path: string): Promise<Buffer> {
  const bytes = Buffer.concat([Buffer.from('new '), node.bytesOf(path)]);
  await writeFile(`${fileOf(path)}.new`, bytes);
  await rename(`${fileOf(path)}.new`, fileOf(path));
  return bytes;
}

/** Reads it into a segment. */
async function makeResident(path: string): Promise<void> {
  const { code } = await node.run('load', path, '--wait');
  assert.equal(code, 0);
  assert.ok((await mill.stat(path)).cached);
}

test('what is resident is read as it was until its metadata is renewed; strict sees the change at once', async () => {
  const [path = ''] = node.paths;
  await makeResident(path);
  const changed = await replace(path);
  assert.deepEqual(Buffer.from(await mill.read(path)), node.bytesOf(path));
  assert.deepEqual(Buffer.from(await mill.read(strictly(path))), changed);
  assert.deepEqual(Buffer.from(await mill.read(path)), node.bytesOf(path), 'both versions are kept apart');
});

test('what is not resident and changed is read by its path as it is now', async () => {
  const [path = '', other = ''] = node.paths.slice(1);
  assert.ok(!(await mill.stat(path)).cached);
  const changed = await replace(path);
  using batch = await mill.readMany([other, path]);
  assert.deepEqual(Buffer.from(batch.sample(0)), node.bytesOf(other));
  assert.deepEqual(Buffer.from(batch.sample(1)), changed);
  assert.equal((await node.run('cat', path)).stdout, changed.toString());
});

test('a stream of a file that changes in the middle ends, and has bytes of one version', async () => {
  const path = `${node.root}/large`;
  const bytes = seededBytes(9, 40 << 20);
  await writeFile(fileOf(path), bytes);
  const chunks: Uint8Array[] = [];
  const reading = (async () => {
    for await (const chunk of mill.stream(strictly(path))) {
      chunks.push(chunk);
      if (chunks.length === 1) await writeFile(fileOf(path), seededBytes(10, 40 << 20));
    }
  })();
  await assert.rejects(reading, { code: 'source-changed' });
  const had = Buffer.concat(chunks);
  assert.ok(had.length > 0 && had.equals(bytes.subarray(0, had.length)));
  await rm(fileOf(path));
});

test('a version of before the change gives the bytes it names or source-changed, sample by sample', async () => {
  const [resident, gone, removed] = [2, 3, 4].map((n) => node.paths[n] ?? '');
  await makeResident(resident ?? '');
  await Promise.all([resident, gone].map((path) => replace(path ?? '')));
  await rm(fileOf(removed ?? ''));
  const numbers = new Map(node.paths.map((_, i) => [version.path(i), i]));
  const asked = [resident, gone, removed, node.paths[5]].map((path) => numbers.get(path ?? '') ?? -1);
  using batch = await version.readMany(asked, { onError: 'keep' });
  assert.deepEqual(
    [0, 1, 2, 3].map((i) => batch.error(i)?.code),
    [undefined, 'source-changed', 'not-found', undefined],
  );
  assert.deepEqual(Buffer.from(batch.sample(0)), node.bytesOf(resident ?? ''));
  assert.deepEqual(Buffer.from(batch.sample(3)), node.bytesOf(node.paths[5] ?? ''));
});

test('a changed file makes another version, and the same content the same one', async () => {
  const unchanged = await mill.dataset(strictRoot);
  assert.equal((await mill.dataset(strictRoot)).version, unchanged.version);
  await replace(node.paths[6] ?? '');
  assert.notEqual((await mill.dataset(strictRoot)).version, unchanged.version);
});

test('a file without an etag says that its identity is weak', async () => {
  const info = await mill.stat(node.paths[7] ?? '');
  assert.deepEqual([info.etag, info.identity], [null, 'weak']);
});
