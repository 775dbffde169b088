import assert from 'node:assert/strict';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { connect } from '@millpool/client';
import type { Dataset, LoaderOptions, Mill } from '@millpool/client';

import { FolderNode } from '../harness/folder-node.ts';

const files = 40;
const lost = 7;
const batchSize = 8;
let node: FolderNode;
let mill: Mill;
let data: Dataset;

before(async () => {
  node = await FolderNode.start('batches', { files, seed: 9, bytesMin: 1000, bytesMax: 40_000 });
  mill = await connect({ socket: node.socket });
  data = await mill.dataset(node.root);
});

after(async () => {
  await mill.close();
  await node.stop();
});

const segmentsOf = (): Promise<string[]> => readdir(join(node.node.dataDirectory, 'segments'));

test('a batch that is held keeps its bytes when everything is freed and when the daemon is killed', async () => {
  assert.equal((await node.run('load', node.root, '--wait')).code, 0);
  using batch = await mill.readMany(node.paths);
  assert.ok((await segmentsOf()).length > 0);
  assert.equal((await node.run('free', node.root)).code, 0);
  assert.deepEqual(await segmentsOf(), [], 'the segments are gone');
  const assertWhole = (): void => {
    node.paths.forEach((path, i) => assert.deepEqual(Buffer.from(batch.sample(i)), node.bytesOf(path)));
  };
  assertWhole();
  await node.restart('SIGKILL');
  assertWhole();
});

async function epoch(options: LoaderOptions): Promise<{ lengths: number[]; errors: (string | undefined)[] }> {
  const loader = data.loader({ batchSize, ...options });
  const [lengths, errors]: [number[], (string | undefined)[]] = [[], []];
  for await (using batch of loader) {
    lengths.push(batch.length);
    for (let i = 0; i < batch.length; i += 1) {
      const error = batch.error(i);
      if (error !== undefined) errors.push(`${error.code} ${String(batch.index(i))}`);
      else assert.deepEqual(Buffer.from(batch.sample(i)), node.bytesOf(batch.path(i)));
    }
  }
  assert.equal(loader.report().skipped, options.onError === 'skip' ? 1 : 0);
  return { lengths, errors };
}

test('a sample that cannot be read rejects its batch, is left out, or keeps its place, as the loop asks', async () => {
  await node.run('free', node.root);
  await rm(join(node.source, data.path(lost).slice(node.root.length)));
  const batches = files / batchSize;
  const full = Array.from({ length: batches }, () => batchSize);
  assert.deepEqual(await epoch({ onError: 'keep' }), { lengths: full, errors: [`not-found ${lost}`] });
  const short = full.with(Math.floor(lost / batchSize), batchSize - 1);
  assert.deepEqual(await epoch({ onError: 'skip' }), { lengths: short, errors: [] });
  await assert.rejects(epoch({}), { code: 'not-found', path: data.path(lost) });
});

test('a loop that ended by a failed batch is resumed before that batch', async () => {
  const loader = data.loader({ batchSize: 4 });
  const seen: number[] = [];
  await assert.rejects(async () => {
    for await (using batch of loader) for (let i = 0; i < batch.length; i += 1) seen.push(batch.index(i));
  });
  assert.deepEqual(seen, [0, 1, 2, 3]);
  assert.equal(loader.state().position, 4);
  const rest = data.loader({ resume: loader.state(), onError: 'skip' });
  for await (using batch of rest) for (let i = 0; i < batch.length; i += 1) seen.push(batch.index(i));
  const wanted = Array.from({ length: files }, (_, i) => i).filter((i) => i !== lost);
  assert.deepEqual(seen, wanted);
});
