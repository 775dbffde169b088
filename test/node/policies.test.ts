import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { connect } from '@millpool/client';
import type { LoaderOptions, Mill } from '@millpool/client';
import type { AttachmentStatus, Policy, Status } from '@millpool/protocol';

import { objectsOf } from '../harness/command-output.ts';
import { MillpoolNode } from '../harness/millpool-process.ts';
import { seededBytes } from '../harness/seeded-random.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';

const miB = 2 ** 20;
const fileBytes = miB / 2;
const files = 256;
const datasetBytes = files * fileBytes;
const cacheBytes = 96 * miB;
const deadlineMs = 120_000;

const folder = await temporaryFolder('policies');
const sources = ['one', 'two'] as const;

before(async () => {
  for (const [s, source] of sources.entries()) {
    await mkdir(join(folder.path, source));
    for (let i = 0; i < files; i += 1) {
      await writeFile(join(folder.path, source, `file-${i}`), seededBytes(1000 * s + i, fileBytes));
    }
  }
  await sleep(2100);
});
after(() => folder.remove());

/** A daemon of its own with a cache that holds three quarters of one dataset. */
class SmallCache implements AsyncDisposable {
  readonly node: MillpoolNode;
  readonly mill: Mill;

  private constructor(node: MillpoolNode, mill: Mill) {
    this.node = node;
    this.mill = mill;
  }

  static async start(name: string, policy: Policy, env: Record<string, string> = {}): Promise<SmallCache> {
    const directory = join(folder.path, name);
    await mkdir(directory);
    const node = await MillpoolNode.start({ directory, args: ['--size', '96MiB', '--policy', policy], env });
    const cache = new SmallCache(node, await connect({ socket: node.socket }));
    for (const source of sources) await cache.attach(source, policy);
    return cache;
  }

  async attach(source: (typeof sources)[number], policy: Policy): Promise<void> {
    const { code, stderr } = await this.node.run('attach', join(folder.path, source), '--policy', policy);
    assert.equal(code, 0, stderr);
  }

  async status(): Promise<Status> {
    const [status] = objectsOf<Status>(await this.node.run('status', '--json'));
    assert.ok(status !== undefined);
    return status;
  }

  async attachment(path: string): Promise<AttachmentStatus> {
    const found = (await this.status()).attachments.find((attachment) => attachment.path === path);
    assert.ok(found !== undefined);
    return found;
  }

  /** Reads a dataset once in the order of an epoch, every byte held against the source. */
  async epoch(path: string, epoch: number, options: LoaderOptions = {}): Promise<void> {
    const data = await this.mill.dataset(path);
    let samples = 0;
    const offset = 1000 * sources.findIndex((source) => path === `/${source}`);
    for await (using batch of data.loader({ batchSize: 16, shuffle: true, seed: 1, epoch, ...options })) {
      for (let i = 0; i < batch.length; i += 1) {
        const index = Number(batch.path(i).split('-').at(-1));
        assert.ok(Buffer.from(batch.sample(i)).equals(seededBytes(offset + index, fileBytes)));
      }
      samples += batch.length;
    }
    assert.equal(samples, files);
  }

  /** Epochs without end, until it is told to stop. */
  keepReading(path: string, options: LoaderOptions = {}): { stop(): Promise<void> } {
    const stop = new AbortController();
    const running = (async () => {
      for (let epoch = 0; !stop.signal.aborted; epoch += 1) await this.epoch(path, epoch, options);
    })();
    // Its failure is met where it is stopped.
    running.catch(() => undefined);
    return {
      stop: async () => {
        stop.abort();
        await running;
      },
    };
  }

  async until(what: string, check: (status: Status) => boolean): Promise<Status> {
    for (const since = performance.now(); ; await sleep(200)) {
      const status = await this.status();
      if (check(status)) return status;
      assert.ok(performance.now() - since < deadlineMs, `never ${what}: ${JSON.stringify(status, null, 1)}`);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.mill.close();
    await this.node.stop();
  }
}

function cachedOf({ attachments }: Status, path: string): number {
  return attachments.find((attachment) => attachment.path === path)?.cachedBytes ?? 0;
}

for (const policy of ['auto', 'keep'] as const) {
  test(`a dataset larger than the cache keeps what came first, and fetches the rest: ${policy}`, async () => {
    await using cache = await SmallCache.start(`larger-${policy}`, policy);
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
  await using cache = await SmallCache.start('newcomer', 'auto');
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
  await using cache = await SmallCache.start('kept', 'keep', { MILLPOOL_KEEP_UNREAD: '8s' });
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
  await using cache = await SmallCache.start('streamed', 'stream');
  await cache.epoch('/one', 0);
  const { cachedBytes } = await cache.attachment('/one');
  const { cache: counted } = await cache.status();
  assert.deepEqual([cachedBytes, counted.records, counted.sourceBytes], [0, 0, datasetBytes]);
});

test('sieve keeps what is read again, and gives up what is read once', async () => {
  await using cache = await SmallCache.start('sieved', 'sieve');
  const hot = Array.from({ length: 32 }, (_, i) => `/one/file-${i}`);
  const cold = Array.from({ length: files - hot.length }, (_, i) => `/one/file-${i + hot.length}`);
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
