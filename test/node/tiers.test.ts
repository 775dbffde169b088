import assert from 'node:assert/strict';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import type { Status } from '@millpool/protocol';

import { objectsOf } from '../harness/command-output.ts';
import { runMillpool } from '../harness/millpool-process.ts';
import { seededRandom } from '../harness/seeded-random.ts';
import { cachedOf, cacheBytes, datasetBytes, files, pathOf, SmallCache, twoDatasets } from '../harness/small-cache.ts';

const miB = 2 ** 20;
const killRounds = 5;
const seed = Number(process.env['MILLPOOL_TEST_SEED'] ?? Date.now() % 100_000);
/** What no disk of a test is: a second one that is slower. It is a directory that is said to be slow. */
const slowBytes = 320 * miB;
const folder = await twoDatasets('tiers');
after(() => folder.remove());

/** The fast tier holds three quarters of one dataset, the slow one all of both. */
async function tieredCache(name: string, sizeBytes = slowBytes): Promise<SmallCache> {
  const env = {
    MILLPOOL_SLOW_DATA: slowDirectory(name),
    MILLPOOL_SLOW_SIZE: `${sizeBytes / miB}MiB`,
    MILLPOOL_IDLE_SEAL: '500ms',
  };
  return SmallCache.start(folder.path, name, 'auto', env);
}

function slowDirectory(name: string): string {
  return join(folder.path, `${name}-slow`);
}

/** Half of it. */
function isHere(status: Status, path: string): boolean {
  return cachedOf(status, path) > datasetBytes / 2;
}

function usedOf({ devices }: Status, tier: 'fast' | 'slow'): number {
  return devices.filter((device) => device.tier === tier).reduce((sum, { usedBytes }) => sum + usedBytes, 0);
}

/** What comes from the source in each of so many epochs. */
async function fetchedEpochs(cache: SmallCache, epochs: number): Promise<readonly number[]> {
  const fetched: number[] = [];
  let before = (await cache.status()).cache.sourceBytes;
  for (let epoch = 0; epoch < epochs; epoch += 1) {
    await cache.epoch('/one', epoch);
    const { sourceBytes } = (await cache.status()).cache;
    fetched.push(sourceBytes - before);
    before = sourceBytes;
  }
  return fetched;
}

async function load(cache: SmallCache, path: string): Promise<void> {
  const { code, stderr } = await cache.node.run('load', path, '--wait');
  assert.equal(code, 0, stderr);
}

test('a dataset larger than the fast tier is fetched once, and from then on read from both tiers', async () => {
  const plain = await SmallCache.start(folder.path, 'one-tier', 'auto');
  const without = await fetchedEpochs(plain, 4).finally(() => plain[Symbol.asyncDispose]());
  await using cache = await tieredCache('both');
  const fetched = await fetchedEpochs(cache, 6);
  assert.ok((without.at(-1) ?? 0) >= datasetBytes - cacheBytes, `one tier: ${String(without)}`);
  assert.equal(fetched.at(-1), 0, `two tiers: ${String(fetched)}`);
  const status = await cache.status();
  assert.equal(cachedOf(status, '/one'), datasetBytes);
  assert.ok(usedOf(status, 'fast') <= cacheBytes && usedOf(status, 'slow') >= datasetBytes - cacheBytes);
  assert.equal(status.cache.evictedBytes, 0);
});

test('a load of more than the fast tier holds ends with every byte here, and why tells where', async () => {
  await using cache = await tieredCache('load');
  await load(cache, '/one');
  await load(cache, '/two');
  const status = await cache.status();
  for (const path of ['/one', '/two']) assert.equal(cachedOf(status, path), datasetBytes, path);
  const told = await Promise.all(
    Array.from({ length: files }, (_, i) => i)
      .filter((i) => i % 15 === 0)
      .map(async (i) => {
        const [why] = objectsOf<{ reason: string; sentence: string; places: { tier: string }[] }>(
          await cache.node.run('why', pathOf('one', i), '--json'),
        );
        assert.equal(why?.reason, 'cached');
        assert.equal(/slow tier/.test(why?.sentence ?? ''), why?.places[0]?.tier === 'slow');
        return why?.places[0]?.tier;
      }),
  );
  assert.deepEqual(new Set(told), new Set(['fast', 'slow']), 'it is larger than the fast tier');
  const text = (await cache.node.run('status')).stdout;
  assert.match(text, /load-slow +slow /);
});

test('what a plan reads moves up into room that came free, and no byte of it is fetched', async () => {
  await using cache = await tieredCache('up');
  // What is pinned stays where it is, so that most of the other has to go below.
  const pinned = ['/two/0', '/two/1'];
  for (const path of pinned) await load(cache, path);
  for (const path of pinned) assert.equal((await cache.node.run('pin', path)).code, 0);
  await load(cache, '/one');
  const before = await cache.status();
  assert.ok(usedOf(before, 'slow') >= datasetBytes / 2, JSON.stringify(before.devices));
  for (const path of pinned) {
    assert.equal((await cache.node.run('unpin', path)).code, 0);
    assert.equal((await cache.node.run('free', path)).code, 0);
  }
  const reading = cache.keepReading('/one');
  const status = await cache.until('moved up', ({ cache: { promotedBytes } }) => promotedBytes > 0);
  await reading.stop();
  assert.equal(status.cache.sourceBytes, before.cache.sourceBytes);
  assert.equal(cachedOf(status, '/one'), datasetBytes);
});

test('what is pinned stays on the fast tier while others come in', async () => {
  await using cache = await tieredCache('pinned');
  await load(cache, '/one/0');
  assert.equal((await cache.node.run('pin', '/one/0')).code, 0);
  await load(cache, '/two');
  for (let i = 0; i < files; i += 4 * 8) {
    const [why] = objectsOf<{ places: { tier: string }[] }>(await cache.node.run('why', pathOf('one', i), '--json'));
    assert.deepEqual(
      why?.places.map(({ tier }) => tier),
      ['fast'],
    );
  }
  assert.equal(cachedOf(await cache.status(), '/two'), datasetBytes);
});

test('when both tiers are full, what has no room is told and not kept, and every byte is right', async () => {
  const smallBytes = 72 * miB;
  await using cache = await tieredCache('full', smallBytes);
  await load(cache, '/one');
  const loaded = await cache.node.run('load', '/two', '--wait');
  assert.equal(loaded.code, 3, loaded.stderr);
  for (let epoch = 0; epoch < 2; epoch += 1) for (const path of ['/one', '/two']) await cache.epoch(path, epoch);
  const status = await cache.status();
  assert.ok(
    usedOf(status, 'fast') <= cacheBytes && usedOf(status, 'slow') <= smallBytes,
    JSON.stringify(status.devices),
  );
  assert.ok(usedOf(status, 'slow') > smallBytes / 2);
  assert.ok(cachedOf(status, '/one') + cachedOf(status, '/two') > datasetBytes, 'both hold more than the fast tier');
});

test('both tiers come back after a restart; a slow one that is lost costs what it held and nothing else', async () => {
  await using cache = await tieredCache('restart');
  await load(cache, '/one');
  await cache.restart('SIGINT');
  const again = await cache.status();
  assert.equal(cachedOf(again, '/one'), datasetBytes);
  assert.ok(usedOf(again, 'slow') > 0);
  await cache.epoch('/one', 0);
  // What a load left to move has moved by now.
  const resting = await cache.status();
  assert.equal(resting.cache.sourceBytes, 0);
  await cache.restart('SIGINT', () => rm(slowDirectory('restart'), { recursive: true }));
  const left = cachedOf(await cache.status(), '/one');
  assert.ok(left >= datasetBytes - usedOf(resting, 'slow') && left < datasetBytes, `${left}`);
  await cache.epoch('/one', 1);
  const { sourceBytes } = (await cache.status()).cache;
  assert.ok(sourceBytes >= datasetBytes - left && sourceBytes < datasetBytes, `${sourceBytes}`);
});

test(`kill -9 while segments move, ${killRounds} times: nothing is lost, no byte is wrong (seed ${seed})`, async () => {
  const random = seededRandom(seed);
  await using cache = await tieredCache('killed');
  let moving = 0;
  for (let round = 0; round < killRounds; round += 1) {
    const name = round % 2 === 0 ? '/two' : '/one';
    const other = round % 2 === 0 ? '/one' : '/two';
    await load(cache, other);
    assert.equal((await cache.node.run('free', name)).code, 0);
    const idle = await cache.status();
    const here = cachedOf(idle, other);
    const loading = cache.node.run('load', name, '--wait');
    // By moves or directly, as it comes.
    await cache.until('slow', (status) => usedOf(status, 'slow') !== usedOf(idle, 'slow') || isHere(status, name));
    await sleep(random() * 200);
    if (await isFilled(slowDirectory('killed'))) moving += 1;
    await cache.restart('SIGKILL');
    await loading;
    // A daemon serves before it has read what an earlier one left.
    await cache.until('all that was here before', (status) => cachedOf(status, other) >= here);
    for (const path of ['/one', '/two']) await cache.epoch(path, round);
  }
  assert.ok(moving > 0, 'some kill met a segment that was being written on the slow tier');
});

test('purge removes what lies on the slow tier too', async () => {
  const cache = await tieredCache('purged');
  await load(cache, '/one').finally(() => cache[Symbol.asyncDispose]());
  const socket = cache.node.socket;
  const data = ['--data', cache.node.dataDirectory, '--slow-data', slowDirectory('purged')];
  const purged = await runMillpool(['purge', '--yes', ...data], { ...process.env, MILLPOOL_SOCKET: socket });
  assert.equal(purged.code, 0, purged.stderr);
  for (const directory of [cache.node.dataDirectory, slowDirectory('purged')]) {
    await assert.rejects(readdir(directory), { code: 'ENOENT' });
  }
});

/** Some segment there is still to be sealed. */
async function isFilled(directory: string): Promise<boolean> {
  return (await readdir(join(directory, 'segments'))).some((name) => name.endsWith('.open'));
}
