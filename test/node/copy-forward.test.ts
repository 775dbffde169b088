import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import type { WhyReply } from '@millpool/protocol';

import { objectsOf } from '../harness/command-output.ts';
import { seededBytes } from '../harness/seeded-random.ts';
import {
  cacheBytes,
  cachedOf,
  fileBytes,
  files,
  parts,
  pathOf,
  SmallCache,
  twoDatasets,
} from '../harness/small-cache.ts';

const folder = await twoDatasets('copy-forward');
after(() => folder.remove());

/** A source's files are kept when they are older than this, and listed anew after as much. */
const settleMs = 2_100;
const env = { MILLPOOL_FRESHNESS: 'ttl=1s' };
/** Enough to see what stays as it is, and what it takes at most to win the room back on a busy machine. */
const epochs = { without: 4, most: 24 };
/** Of the room of what nobody can find. */
const wonShare = 0.6;
/** What the files hold now. */
const seeds = Array.from({ length: files }, (_, file) => file);

/** Full, and sealed: what is open is filled anyway. */
async function fullCache(name: string, share: string): Promise<SmallCache> {
  const cache = await SmallCache.start(folder.path, name, 'keep', { ...env, MILLPOOL_COPY_SHARE: share });
  await readAll(cache, 0);
  await cache.restart('SIGINT');
  assert.ok(cachedOf(await cache.status(), '/one') > 0.85 * cacheBytes);
  return cache;
}

/** An epoch of the dataset as it is now, every byte held against its file. */
async function readAll(cache: SmallCache, epoch: number): Promise<void> {
  const data = await cache.mill.dataset('/one');
  let samples = 0;
  for await (using batch of data.loader({ batchSize: 16, shuffle: true, seed: 1, epoch })) {
    for (let i = 0; i < batch.length; i += 1) {
      const file = Number(batch.path(i).split('-').at(-1));
      assert.ok(Buffer.from(batch.sample(i)).equals(seededBytes(seeds[file] ?? -1, fileBytes)), batch.path(i));
    }
    samples += batch.length;
  }
  assert.equal(samples, files);
}

/** What copying forward is worth: the room of `garbageBytes` is used again, within the budget, or it never is. */
async function assertWon(t: TestContext, cache: SmallCache, share: string, garbageBytes: number): Promise<void> {
  const fetched: number[] = [];
  const saved = (): number => (fetched[0] ?? 0) - (fetched.at(-1) ?? 0);
  const most = share === '0%' ? epochs.without : epochs.most;
  for (let epoch = 1; epoch <= most && saved() <= wonShare * garbageBytes; epoch += 1) {
    const before = (await cache.status()).cache.sourceBytes;
    await readAll(cache, epoch);
    fetched.push((await cache.status()).cache.sourceBytes - before);
  }
  const { copied, evictedBytes, sourceBytes } = (await cache.status()).cache;
  t.diagnostic(`fetched by epoch: ${fetched.map((bytes) => (bytes / 2 ** 20).toFixed(1)).join(' ')} MiB`);
  t.diagnostic(`copied ${JSON.stringify(copied)}, evicted ${evictedBytes}, garbage ${garbageBytes}`);
  if (share === '0%') {
    assert.equal(copied.segments, 0);
    assert.ok(saved() < 0.2 * garbageBytes, 'without copying, the room of what nobody can find is lost');
    return;
  }
  assert.ok(saved() > wonShare * garbageBytes, `${saved()} of ${garbageBytes} bytes are fetched no more`);
  assert.ok(copied.bytes <= 0.25 * sourceBytes, `${copied.bytes} copied, ${sourceBytes} fetched`);
  assert.match(cache.node.stderr, /segments copied forward, room being wanted/);
  // What was moved is told to be where it is.
  const told = objectsOf<WhyReply>(await cache.node.run('why', await cachedPath(cache), '--json'));
  assert.deepEqual([told[0]?.reason, told[0]?.missing, told[0]?.places.length], ['cached', [], 1]);
}

/** The first file that is here whole: it was fetched at the beginning, and has moved since. */
async function cachedPath(cache: SmallCache): Promise<string> {
  for (let file = 1; file < files; file += 2) {
    const [stat] = objectsOf<{ cachedBytes: number }>(await cache.node.run('stat', pathOf('one', file), '--json'));
    if (stat?.cachedBytes === fileBytes) return pathOf('one', file);
  }
  throw new Error('nothing is cached');
}

for (const share of ['25%', '0%'] as const) {
  test(`half of what a full cache holds is freed, here and there in its segments: copying ${share}`, async (t) => {
    await using cache = await fullCache(`freed-${share}`, share);
    const hadBytes = cachedOf(await cache.status(), '/one');
    for (let part = 0; part < parts; part += 2) objectsOf(await cache.node.run('free', `/one/${part}`, '--json'));
    const garbageBytes = hadBytes - cachedOf(await cache.status(), '/one');
    assert.ok(garbageBytes > 0.4 * hadBytes, `${garbageBytes} of ${hadBytes} were freed`);
    await assertWon(t, cache, share, garbageBytes);
  });

  test(`half of the files of a full cache change at their source: copying ${share}`, async (t) => {
    await using cache = await fullCache(`changed-${share}`, share);
    const hadBytes = cachedOf(await cache.status(), '/one');
    for (let file = 0; file < files; file += 2) {
      seeds[file] = (seeds[file] ?? 0) + 10_000;
      await writeFile(join(folder.path, pathOf('one', file)), seededBytes(seeds[file] ?? 0, fileBytes));
    }
    await sleep(settleMs);
    await assertWon(t, cache, share, hadBytes / 2);
  });
}
