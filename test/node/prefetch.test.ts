import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { connect } from '@millpool/client';
import type { Dataset, Loader, Mill } from '@millpool/client';
import { Order, Schedule } from '@millpool/native';
import type { Status } from '@millpool/protocol';

import { objectsOf } from '../harness/command-output.ts';
import { FolderNode } from '../harness/folder-node.ts';

const files = 300;
const fileBytes = 200_000;
const batchSize = 10;
/** As small as it may be; of what it leaves for buffers half is fetched ahead, which is less than the dataset. */
const budgetBytes = 192 * 2 ** 20;
const aheadBytes = (32 * 2 ** 20) / 2;
const deadlineMs = 120_000;
let node: FolderNode;
let mill: Mill;
let data: Dataset;

before(async () => {
  process.env['MILLPOOL_BUDGET'] = String(budgetBytes);
  node = await FolderNode.start('prefetch', { files, seed: 5, bytesMin: fileBytes, bytesMax: fileBytes });
  mill = await connect({ socket: node.socket });
  data = await mill.dataset(node.root);
});

after(async () => {
  await mill.close();
  await node.stop();
});

async function cache(): Promise<Status['cache']> {
  const [status] = objectsOf<Status>(await node.run('status', '--json'));
  assert.ok(status !== undefined);
  return status.cache;
}

async function untilFetched(records: number): Promise<void> {
  const deadline = Date.now() + deadlineMs;
  for (let last = -1; last < records; last = (await cache()).records) {
    assert.ok(Date.now() < deadline, `${last} records are here, and no ${records}`);
    await sleep(50);
  }
}

async function free(): Promise<void> {
  objectsOf(await node.run('free', node.root, '--json'));
  assert.equal((await cache()).records, 0);
}

/** What a rank reads in an epoch. */
function samplesOf(epoch: number, { seed, rank, world }: { seed: number; rank: number; world: number }): number[] {
  const order = new Order({ count: files, seed, epoch, shuffle: true });
  const globalBatch = batchSize * world;
  const schedule = new Schedule({ count: files, globalBatch, world, rank, dropLast: false, position: 0 });
  const samples: number[] = [];
  for (let step = schedule.next(); step !== null; step = schedule.next())
    samples.push(...order.samples(step.from, step.count));
  return samples;
}

/** Reads `batches` batches and holds the last one. */
async function readSome(loader: Loader, batches: number): Promise<AsyncIterator<unknown>> {
  const iterator = loader[Symbol.asyncIterator]();
  for (let read = 0; read < batches; read += 1) {
    const { done, value } = await iterator.next();
    assert.ok(done !== true);
    value.release();
  }
  return iterator;
}

test('a plan goes on into the next epoch, as far as its window: what that begins with is here before', async () => {
  await free();
  const half = { seed: 3, rank: 0, world: 2 };
  const loader = data.loader({ batchSize, shuffle: true, ...half });
  const [first, second] = [samplesOf(0, half), samplesOf(1, half)];
  // The window is 83 samples, and what is asked for at once a quarter of it.
  const begin = second.slice(0, 6 * batchSize);
  const both = new Set([...first, ...begin]).size;
  assert.ok(both > first.length, 'the next epoch has others');
  // The loop is at the last step of the first epoch, and asks for nothing more.
  const iterator = await readSome(loader, first.length / batchSize - 1);
  await untilFetched(both);
  await iterator.return?.();
  const known = (await cache()).sourceBytes;
  const read: number[] = [];
  for await (using batch of data.loader({ batchSize, shuffle: true, ...half, epoch: 1, hints: 'off', prefetch: 1 })) {
    for (let i = 0; i < batch.length; i += 1) read.push(batch.index(i));
    if (read.length === begin.length) break;
  }
  assert.deepEqual(read, begin);
  assert.equal((await cache()).sourceBytes, known, 'nothing of it was fetched again');
});

test('a loop that stops to take batches stops the fetching, within half of the buffers', async () => {
  await free();
  const known = (await cache()).sourceBytes;
  const loader = data.loader({ batchSize, shuffle: true, seed: 4 });
  const iterator = await readSome(loader, 2);
  const fetched = async (): Promise<number> => (await cache()).sourceBytes - known;
  // Until it is as far ahead as it may be; then looks at it again and again, and it stays there.
  const deadline = Date.now() + deadlineMs;
  while ((await fetched()) < aheadBytes) {
    assert.ok(Date.now() < deadline, `${await fetched()} bytes are fetched`);
    await sleep(50);
  }
  for (let look = 0; look < 10; look += 1) assert.ok((await fetched()) < data.bytes);
  // Beside it, the batches that the loop took, and those that its loader holds ready for it.
  const most = aheadBytes + 12 * batchSize * fileBytes;
  assert.ok(most < data.bytes && (await fetched()) <= most, `${await fetched()} of ${data.bytes}`);
  await iterator.return?.();
});

test('samples said by number are fetched as far as the window goes, and found by whoever asks for them', async () => {
  await free();
  const few = [7, 3, 299, 3, 120];
  assert.equal(await data.prefetch(few), few.length);
  await untilFetched(new Set(few).size);
  const known = (await cache()).sourceBytes;
  using batch = await data.readMany(few);
  assert.equal(batch.length, few.length);
  assert.equal((await cache()).sourceBytes, known, 'nothing is asked of the source again');

  const accepted = await data.prefetch(Array.from({ length: files }, (_, i) => i));
  assert.ok(accepted > 0 && accepted <= aheadBytes / fileBytes, `${accepted} of ${files}`);
  await untilFetched(accepted);
  for (const index of [-1, 0.5, files, Number.NaN]) {
    await assert.rejects(data.prefetch([index]), { code: 'invalid' });
  }
  assert.equal(await data.prefetch([]), 0);
});
