import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { connect } from '@millpool/client';
import type { Dataset, Loader, LoaderState, Mill } from '@millpool/client';

import { FolderNode } from '../harness/folder-node.ts';

const files = 530;
let node: FolderNode;
let mill: Mill;
let data: Dataset;

before(async () => {
  node = await FolderNode.start('loader', { files, seed: 11, bytesMin: 0, bytesMax: 9000 });
  mill = await connect({ socket: node.socket });
  data = await mill.dataset(node.root);
});

after(async () => {
  await mill.close();
  await node.stop();
});

/** The numbers of the samples of what is left of an epoch, each checked against the source, step by step. */
async function steps(loader: Loader, stepsMax = Number.POSITIVE_INFINITY): Promise<number[][]> {
  const seen: number[][] = [];
  for await (using batch of loader) {
    const numbers: number[] = [];
    for (let i = 0; i < batch.length; i += 1) {
      assert.deepEqual(Buffer.from(batch.sample(i)), node.bytesOf(batch.path(i)));
      assert.equal(data.path(batch.index(i)), batch.path(i));
      numbers.push(batch.index(i));
    }
    seen.push(numbers);
    if (seen.length === stepsMax) break;
  }
  return seen;
}

const everySample = Array.from({ length: files }, (_, i) => i);
const sorted = (numbers: readonly number[]): number[] => [...numbers].sort((a, b) => a - b);

test('an epoch without shuffle is the samples in path order', async () => {
  const read = (await steps(data.loader({ batchSize: 64 }))).flat();
  assert.deepEqual(read, everySample);
});

test('an epoch with shuffle is every sample once, in an order that the seed and the epoch decide', async () => {
  const loader = data.loader({ batchSize: 64, shuffle: true, seed: 7 });
  const first = (await steps(loader)).flat();
  assert.equal(loader.epoch, 1);
  const second = (await steps(loader)).flat();
  assert.deepEqual(sorted(first), everySample);
  assert.deepEqual(sorted(second), everySample);
  assert.notDeepEqual(first, everySample);
  assert.notDeepEqual(first, second);
  assert.deepEqual((await steps(data.loader({ batchSize: 64, shuffle: true, seed: 7, epoch: 1 }))).flat(), second);
  assert.notDeepEqual((await steps(data.loader({ batchSize: 64, shuffle: true, seed: 8 }))).flat(), first);
});

test('ranks share every step, and dropLast leaves out the rest', async () => {
  const world = 3;
  const epoch = async (dropLast: boolean): Promise<number[][][]> =>
    Promise.all(
      [0, 1, 2].map((rank) => steps(data.loader({ batchSize: 32, shuffle: true, seed: 3, rank, world, dropLast }))),
    );
  const ranks = await epoch(false);
  assert.equal(new Set(ranks.map((rank) => rank.length)).size, 1);
  assert.deepEqual(sorted([...new Set(ranks.flat(2))]), everySample);
  const dropped = await epoch(true);
  assert.equal(dropped.flat(2).length, files - (files % (32 * world)));
});

test('a loader resumed in another world goes on with exactly the samples that were left', async () => {
  const whole = await steps(data.loader({ batchSize: 48, shuffle: true, seed: 21 }));
  const started = data.loader({ batchSize: 24, shuffle: true, seed: 21, rank: 0, world: 2 });
  await steps(started, 4);
  const state = JSON.parse(JSON.stringify(started.state())) as LoaderState;
  assert.ok(JSON.stringify(state).length < 1024);
  assert.equal(state.position, 4 * 48);
  const rest: number[][][] = await Promise.all(
    [0, 1, 2, 3].map((rank) => steps(data.loader({ resume: state, rank, world: 4 }))),
  );
  for (let step = 0; step + 4 < whole.length - 1; step += 1) {
    const dealt = rest.flatMap((rank) => rank[step] ?? []);
    assert.deepEqual(dealt, whole[step + 4], `step ${step} after resuming`);
  }
});

test('a state of another dataset, another order or a hostile shape is refused by name', () => {
  const state = data.loader({ batchSize: 10 }).state();
  const other = { ...state, datasets: [{ version: '0'.repeat(64), weight: 1 }] };
  assert.throws(() => data.loader({ resume: other }), { code: 'invalid' });
  assert.throws(() => data.loader({ resume: { ...state, orderVersion: 2 } }), {
    code: 'invalid',
    message: /orderVersion/,
  });
  assert.throws(() => data.loader({ resume: { ...state, position: -1 } }), { code: 'invalid', message: /position/ });
  assert.throws(() => data.loader({ resume: { ...state, position: files + 1 } }), { code: 'invalid' });
  assert.throws(() => data.loader({ resume: state, seed: 4 }), { code: 'invalid', message: /seed/ });
  assert.throws(() => data.loader({ rank: 2, world: 2 }), { code: 'invalid', message: /rank/ });
});

test('a released batch gives no bytes; a copy stays', async () => {
  for await (const batch of data.loader({ batchSize: 8 })) {
    const view = batch.sample(1);
    const copy = batch.copy(1);
    const path = batch.path(1);
    batch.release();
    assert.equal(view.length, 0);
    assert.throws(() => batch.sample(1), { code: 'closed' });
    assert.deepEqual(Buffer.from(copy), node.bytesOf(path));
    break;
  }
});

test('the report adds up to what was read', async () => {
  const loader = data.loader({ batchSize: 100, shuffle: true, hints: 'off' });
  await steps(loader);
  const report = loader.report();
  assert.equal(report.samples, files);
  assert.equal(report.bytes, data.bytes);
  assert.equal(report.cacheBytes + report.sourceBytes, data.bytes);
  const waited = Object.values(report.waitSeconds).reduce((sum, seconds) => sum + seconds, 0);
  assert.ok(waited >= 0 && waited <= report.seconds);
  assert.ok(report.advice.length > 0);
});

test('what a plan fetched ahead counts as fetched in the report, and the next epoch as hits', async () => {
  assert.equal((await node.run('free', node.root)).code, 0);
  const loader = data.loader({ batchSize: 50, shuffle: true, seed: 1 });
  await steps(loader);
  const first = loader.report();
  assert.ok(first.prefetchedSamples > 0, 'the plan was ahead of the loop');
  // An empty file needs no GET.
  const empty = everySample.filter((i) => data.size(i) === 0).length;
  assert.ok(first.hitRatio * files <= empty, `${first.hitRatio * files} hits of ${empty} empty files`);
  assert.equal(first.sourceBytes, data.bytes);
  await steps(loader);
  const second = loader.report();
  assert.equal(second.samples, 2 * files);
  assert.equal(second.sourceBytes, data.bytes);
  assert.ok(second.hitRatio * second.samples >= files);
});

test('a signal ends an iteration, and the loader can be iterated again from where it stood', async () => {
  const stop = new AbortController();
  const loader = data.loader({ batchSize: 50, shuffle: true, seed: 2, signal: stop.signal });
  let batches = 0;
  const reading = (async () => {
    for await (using batch of loader) {
      batches += batch.length > 0 ? 1 : 0;
      if (batches === 3) stop.abort();
    }
  })();
  await assert.rejects(reading, { code: 'cancelled' });
  assert.equal(loader.state().position, 50 * batches);
  await steps(data.loader({ resume: loader.state() }));
});
