import assert from 'node:assert/strict';
import { after, test } from 'node:test';

import type { Pin, Status } from '@millpool/protocol';

import { errorOf, objectsOf } from '../harness/command-output.ts';
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

const folder = await twoDatasets('pins');
after(() => folder.remove());

/** The files of one of a dataset's folders. */
function filesIn(part: number): string[] {
  return Array.from({ length: files / parts }, (_, i) => pathOf('one', parts * i + part));
}

async function cachedFiles(cache: SmallCache, paths: readonly string[]): Promise<number> {
  const stats = objectsOf<{ cachedBytes: number }>(await cache.node.run('stat', ...paths, '--json'));
  return stats.filter(({ cachedBytes }) => cachedBytes === fileBytes).length;
}

test('what is pinned stays when others want its room, also after a restart, until it is unpinned', async () => {
  await using cache = await SmallCache.start(folder.path, 'stays', 'sieve', { MILLPOOL_KEEP_UNREAD: '2s' });
  const [pin] = objectsOf<Pin>(await cache.node.run('pin', '/one/1', '--json'));
  assert.deepEqual([pin?.path, pin?.files, pin?.bytes], ['/one/1', files / parts, (files / parts) * fileBytes]);
  assert.equal((await cache.node.run('load', '/one/1', '--wait')).code, 0);
  const others = async (): Promise<void> => {
    const { cache: earlier } = await cache.status();
    const reading = cache.keepReading('/two');
    const wanted = earlier.evictedBytes + cacheBytes;
    await cache.until('gave up as much as it holds', (status) => status.cache.evictedBytes > wanted);
    await reading.stop();
  };
  await others();
  assert.equal(await cachedFiles(cache, filesIn(1)), files / parts);
  await cache.restart('SIGKILL');
  await others();
  assert.equal(await cachedFiles(cache, filesIn(1)), files / parts);
  assert.equal((await cache.node.run('unpin', '/one/1')).code, 0);
  assert.deepEqual((await cache.status()).pins, []);
  await others();
  assert.ok((await cachedFiles(cache, filesIn(1))) < files / parts / 2);
});

test('a load of what is pinned gets its room from what is not, also from keep', async () => {
  await using cache = await SmallCache.start(folder.path, 'displaces', 'keep');
  for (let epoch = 0; epoch < 2; epoch += 1) await cache.epoch('/two', epoch);
  assert.equal((await cache.status()).cache.state, 'full');
  const refused = await cache.node.run('load', '/one/0', '--wait', '--json');
  assert.equal(refused.code, 3, 'what is not pinned finds no room');
  assert.equal((await cache.node.run('pin', '/one/0')).code, 0);
  const [job] = objectsOf(await cache.node.run('load', '/one/0', '--wait', '--json'));
  assert.equal(job?.['state'], 'done');
  assert.equal(await cachedFiles(cache, filesIn(0)), files / parts);
  const status = await cache.status();
  assert.ok(cachedOf(status, '/two') < cacheBytes - (files / parts) * fileBytes);
  assert.ok(cachedOf(status, '/two') > 0.3 * cacheBytes, 'no more went than had to');
});

test('a pin is shown everywhere, and keeps what it holds from being freed or detached', async () => {
  await using cache = await SmallCache.start(folder.path, 'shown', 'auto');
  const path = pathOf('one', 1);
  assert.equal((await cache.node.run('pin', path)).code, 0);
  const [status] = objectsOf<Status>(await cache.node.run('status', '--json'));
  assert.deepEqual(
    status?.pins.map((pin) => [pin.path, pin.files, pin.bytes]),
    [[path, 1, fileBytes]],
  );
  assert.match((await cache.node.run('status')).stdout, /pinned.*\n.*file-1/);
  const [stat, beside] = objectsOf(await cache.node.run('stat', path, pathOf('one', 9), '--json'));
  assert.deepEqual([stat?.['pinnedBy'], beside?.['pinnedBy']], [path, null]);
  const attached = objectsOf<{ path: string; pinned: string[] }>(await cache.node.run('attachments', '--json'));
  assert.deepEqual(
    attached.map(({ pinned }) => pinned),
    [[path], []],
  );
  for (const [verb, target, says] of [
    ['free', path, /is pinned/],
    ['free', '/one', /\/one holds \/one\/1\/file-1, which is pinned/],
    ['detach', '/one', /holds/],
  ] as const) {
    const result = await cache.node.run(verb, target, '--json');
    const { code, message, remedy } = errorOf(result);
    assert.deepEqual([result.code, code], [6, 'refused'], message);
    assert.match(message, says);
    assert.match(remedy, /millpool unpin \/one\/1\/file-1/);
  }
  assert.equal((await cache.node.run('free', '/two')).code, 0);
});

test('more than fits cannot be pinned, and the error says how much is missing', async () => {
  await using cache = await SmallCache.start(folder.path, 'too-much', 'auto');
  const { code, stderr } = await cache.node.run('pin', '/one', '--json');
  assert.equal(code, 1);
  const { error } = JSON.parse(stderr) as { error: { code: string; message: string } };
  assert.equal(error.code, 'full');
  assert.match(error.message, /\/one has 128MiB; 3\d(\.\d+)?MiB are missing in a cache of 96MiB/);
  assert.deepEqual((await cache.status()).pins, []);
  for (const [path, says] of [
    ['/one/absent', /absent/],
    ['/nowhere', /nowhere/],
  ] as const) {
    const missing = errorOf(await cache.node.run('pin', path, '--json'));
    assert.equal(missing.code, 'not-found');
    assert.match(missing.message, says);
  }
  assert.equal(errorOf(await cache.node.run('unpin', '/one', '--json')).code, 'not-found');
  assert.equal(files * fileBytes > cacheBytes, true);
});
