import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { connect } from '@millpool/client';
import type { Dataset, Mill } from '@millpool/client';

import { FolderNode } from '../harness/folder-node.ts';

const files = 2_000;
const batchSize = 50;
let node: FolderNode;
let mill: Mill;
let data: Dataset;

before(async () => {
  node = await FolderNode.start('known-batches', { files, seed: 5, bytesMin: 0, bytesMax: 4000 });
  mill = await connect({ socket: node.socket });
  data = await mill.dataset(node.root);
  await node.run('load', node.root, '--wait');
});

after(async () => {
  await mill.close();
  await node.stop();
});

interface Epoch {
  readonly samples: readonly number[];
  /** Batches that came in the same turn of the event loop as the one before. */
  readonly sameTurn: number;
  readonly turns: number;
}

/** Reads an epoch and checks each sample; the loop works a little on each batch, as long as it takes to see it all. */
async function epoch(number: number): Promise<Epoch> {
  const samples: number[] = [];
  let [turns, sameTurn, ended] = [0, 0, false];
  const turn = (): void => {
    turns += 1;
    if (!ended) setImmediate(turn);
  };
  setImmediate(turn);
  let seen = turns;
  for await (using batch of data.loader({ batchSize, shuffle: true, seed: 3, epoch: number })) {
    if (turns === seen) sameTurn += 1;
    seen = turns;
    for (let i = 0; i < batch.length; i += 1) {
      assert.ok(node.bytesOf(batch.path(i)).equals(batch.sample(i)), batch.path(i));
      samples.push(batch.index(i));
    }
  }
  ended = true;
  return { samples: samples.toSorted((a, b) => a - b), sameTurn, turns };
}

test('batches of what was read before come at once, every sample right, and other work has its turns', async () => {
  const everySample = Array.from({ length: files }, (_, i) => i);
  let found: Epoch | null = null;
  // A machine that is busy elsewhere makes the loop look slow, and then its batches are read beside it.
  const deadlineMs = performance.now() + 60_000;
  for (let number = 0; found === null && performance.now() < deadlineMs; number += 1) {
    const read = await epoch(number);
    assert.deepEqual(read.samples, everySample);
    if (number > 0 && read.sameTurn > 0 && read.turns > 1) found = read;
  }
  assert.ok(found !== null, 'no batch came at once, or nothing else had a turn');
});

test('what is freed in the middle of an epoch comes from the source again', async () => {
  for await (using batch of data.loader({ batchSize, shuffle: true, seed: 3 })) assert.ok(batch.length > 0);
  const loader = data.loader({ batchSize, shuffle: true, seed: 3, epoch: 1 });
  let [batches, samples] = [0, 0];
  for await (using batch of loader) {
    for (let i = 0; i < batch.length; i += 1) assert.ok(node.bytesOf(batch.path(i)).equals(batch.sample(i)));
    samples += batch.length;
    batches += 1;
    if (batches === 10) assert.equal((await node.run('free', node.root)).code, 0);
  }
  assert.equal(samples, files);
  assert.ok(loader.report().tiers.source.samples > 0, 'some of it was fetched');
});
