import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { objectsOf } from '../harness/command-output.ts';
import { seededBytes } from '../harness/seeded-random.ts';
import {
  cacheBytes,
  cachedOf,
  datasetBytes,
  fileBytes,
  files,
  pathOf,
  SmallCache,
  twoDatasets,
} from '../harness/small-cache.ts';

const folder = await twoDatasets('policies');
after(() => folder.remove());

for (const policy of ['auto', 'keep', 'order'] as const) {
  test(`a dataset larger than the cache keeps what came first, and fetches the rest: ${policy}`, async () => {
    await using cache = await SmallCache.start(folder.path, `larger-${policy}`, policy);
    for (let epoch = 0; epoch < 2; epoch += 1) await cache.epoch('/one', epoch);
    const earlier = await cache.status();
    const epochs = 3;
    for (let epoch = 2; epoch < 2 + epochs; epoch += 1) await cache.epoch('/one', epoch);
    const later = await cache.status();
    assert.equal(later.cache.evictedBytes, 0);
    const fetched = (later.cache.sourceBytes - earlier.cache.sourceBytes) / epochs;
    const least = datasetBytes - cachedOf(earlier, '/one');
    assert.ok(fetched <= least + 2 * fileBytes, `${fetched} fetched an epoch, ${least} were not there`);
    assert.ok(cachedOf(later, '/one') > 0.85 * cacheBytes, `${cachedOf(later, '/one')} of ${cacheBytes} used`);
    assert.equal(later.cache.state, 'full');
    assert.match(later.cache.why, /millpool free.*--size/);
  });
}

test('a newcomer gets its share from who is above its own, and then nothing moves any more', async () => {
  await using cache = await SmallCache.start(folder.path, 'newcomer', 'auto');
  await cache.epoch('/one', 0);
  await cache.epoch('/one', 1);
  const first = await cache.attachment('/one');
  assert.ok(first.cachedBytes > 0.85 * cacheBytes);
  const old = cache.keepReading('/one');
  const newcomer = cache.keepReading('/two');
  const dealt = await cache.until('dealt', ({ attachments }) =>
    attachments.every(({ cachedBytes, shareBytes }) => shareBytes !== null && cachedBytes > 0.6 * shareBytes),
  );
  assert.ok(dealt.cache.evictedBytes > 0);
  const shares = dealt.attachments.map(({ shareBytes }) => shareBytes ?? 0);
  assert.ok(Math.abs(shares.reduce((sum, share) => sum + share, 0) - cacheBytes) < 0.1 * cacheBytes, String(shares));
  // Each reads its own pages over and over: were they taken from each other, all of the cache would go several times.
  await Promise.all([old.stop(), newcomer.stop()]);
  const epochs = 3;
  for (let epoch = 0; epoch < epochs; epoch += 1) {
    await Promise.all([cache.epoch('/one', 50 + epoch), cache.epoch('/two', 50 + epoch)]);
  }
  const settled = await cache.status();
  const moved = settled.cache.evictedBytes - dealt.cache.evictedBytes;
  assert.ok(moved < cacheBytes / 2, `${moved} bytes were given up in ${epochs} epochs of both`);
  for (const path of ['/one', '/two']) assert.ok(cachedOf(settled, path) > 0.15 * cacheBytes, path);
});

test('keep gives nothing to a newcomer, until nobody has read it for as long as is said', async () => {
  await using cache = await SmallCache.start(folder.path, 'kept', 'keep', { MILLPOOL_KEEP_UNREAD: '8s' });
  await cache.epoch('/one', 0);
  const had = (await cache.attachment('/one')).cachedBytes;
  const reading = cache.keepReading('/one');
  await cache.epoch('/two', 0);
  await cache.epoch('/two', 1);
  assert.ok((await cache.attachment('/one')).cachedBytes >= had);
  await reading.stop();
  const newcomer = cache.keepReading('/two');
  await cache.until('given up', (status) => cachedOf(status, '/two') > 0.6 * cacheBytes);
  await newcomer.stop();
});

test('stream admits nothing', async () => {
  await using cache = await SmallCache.start(folder.path, 'streamed', 'stream');
  await cache.epoch('/one', 0);
  const { cachedBytes } = await cache.attachment('/one');
  const { cache: counted } = await cache.status();
  assert.deepEqual([cachedBytes, counted.records, counted.sourceBytes], [0, 0, datasetBytes]);
});

for (const [policy, few, atMost] of [
  ['order', 'few', 0.25],
  ['auto', 'all', Infinity],
] as const) {
  test(`what no plan reads any more makes room for what one reads in each epoch under order: ${policy}`, async () => {
    await using cache = await SmallCache.start(folder.path, `planned-${policy}`, policy);
    const world = 4;
    const rankBytes = datasetBytes / world;
    const data = await cache.mill.dataset('/one');
    /** Without shuffling a rank reads the same quarter in each epoch. */
    const read = async (rank: number, epoch: number): Promise<void> => {
      const options = { batchSize: 16, shuffle: false, rank, world, epoch };
      for await (using batch of data.loader(options)) {
        for (let i = 0; i < batch.length; i += 1) {
          const index = Number(batch.path(i).split('-').at(-1));
          assert.ok(Buffer.from(batch.sample(i)).equals(seededBytes(index, fileBytes)));
        }
        // Room is looked after some times a second.
        await sleep(100);
      }
    };
    for (const rank of [1, 2, 3]) await read(rank, 0);
    const filled = await cache.status();
    assert.ok(cachedOf(filled, '/one') > 0.85 * cacheBytes, 'the cache is full of what others read');
    for (let epoch = 0; epoch < 6; epoch += 1) await read(0, epoch);
    const before = (await cache.status()).cache;
    await read(0, 6);
    const { cache: counted } = await cache.status();
    const fetched = counted.sourceBytes - before.sourceBytes;
    const wanted = few === 'few' ? fetched <= atMost * rankBytes : fetched > 0.75 * rankBytes;
    assert.ok(wanted, `${fetched} of ${rankBytes} bytes were fetched in the last epoch`);
    assert.equal(counted.evictedBytes > 0, policy === 'order');
  });
}

test('sieve keeps what is read again, and gives up what is read once', async () => {
  await using cache = await SmallCache.start(folder.path, 'sieved', 'sieve');
  const hot = Array.from({ length: 32 }, (_, i) => pathOf('one', i));
  const cold = Array.from({ length: files - hot.length }, (_, i) => pathOf('one', i + hot.length));
  const read = async (paths: readonly string[]): Promise<void> => {
    using batch = await cache.mill.readMany(paths);
    assert.equal(batch.length, paths.length);
  };
  await read(hot);
  await sleep(500);
  for (let round = 0; round < 2; round += 1) {
    for (let at = 0; at < cold.length; at += 8) {
      await read(cold.slice(at, at + 8));
      await read(hot);
      // Reads are told in passing, and looked at twice a second.
      await sleep(150);
    }
  }
  const { cache: counted } = await cache.status();
  assert.ok(counted.evictedBytes > 0, 'something was given up');
  const stats = objectsOf<{ cachedBytes: number }>(await cache.node.run('stat', ...hot, '--json'));
  const kept = stats.filter(({ cachedBytes }) => cachedBytes === fileBytes).length;
  assert.ok(kept >= 0.75 * hot.length, `${kept} of ${hot.length} that were read all the time are there`);
});
