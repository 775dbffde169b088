import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { connect } from '@millpool/client';
import type { JobStatus, Status } from '@millpool/protocol';

import { objectsOf } from '../harness/command-output.ts';
import { MillpoolNode } from '../harness/millpool-process.ts';
import { seededBytes } from '../harness/seeded-random.ts';
import { SmallFilesystem } from '../harness/small-filesystem.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';

const miB = 1024 ** 2;
const fileBytes = 500_000;
/** Half of what the devices hold, and more than they do. */
const some = 180;
const files = 560;
const sizes = [24, 72, 168] as const;
const folder = await temporaryFolder('unequal');
const devices = await Promise.all(
  sizes.map((size) => SmallFilesystem.ext4(join(folder.path, `device-${size}`), size * miB)),
);
const unavailable = devices.find((device) => device.kind === 'unavailable');

describe('devices of different sizes', { skip: unavailable?.kind === 'unavailable' ? unavailable.why : false }, () => {
  const source = join(folder.path, 'source');
  let node: MillpoolNode;

  before(async () => {
    for (const part of ['some', 'rest']) await mkdir(join(source, part), { recursive: true });
    for (let i = 0; i < files; i += 1) await writeFile(join(source, placeOf(i)), seededBytes(i, fileBytes));
    await sleep(2100);
  });
  after(async () => {
    await node.stop();
    for (const device of devices) if (device.kind === 'ready') await device.what.unmount();
    await folder.remove();
  });

  function placeOf(file: number): string {
    return `${file < some ? 'some' : 'rest'}/file-${file}`;
  }

  async function start(...args: readonly string[]): Promise<MillpoolNode> {
    const paths = devices.flatMap((device) => (device.kind === 'ready' ? [device.what.directory] : []));
    const others = paths.slice(1).flatMap((path) => ['--data', path]);
    const [first = ''] = paths;
    // What is claimed ahead of an open segment counts as used: it is soon given back.
    const env = { MILLPOOL_IDLE_SEAL: '300ms' };
    return MillpoolNode.start({
      directory: folder.path,
      data: first,
      sources: [source],
      args: [...others, ...args],
      env,
    });
  }

  async function status(): Promise<Status> {
    const [found] = objectsOf<Status>(await node.run('status', '--json'));
    assert.ok(found !== undefined);
    return found;
  }

  test('fill in proportion to what they hold, whatever a load brings', async (t: TestContext) => {
    node = await start();
    // As fast as each of them writes: what is faster goes where the least waits.
    objectsOf(await node.run('load', '/source/some', '--rate', '24MiB/s', '--wait', '--json'));
    await sleep(1_000);
    const { cache, devices: filled } = await status();
    assert.equal(cache.records, some);
    const shares = filled.map(({ usedBytes, sizeBytes }) => usedBytes / sizeBytes);
    t.diagnostic(`filled to ${shares.map((share) => share.toFixed(2)).join(' ')}`);
    const whole = filled.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    const mean = (some * fileBytes) / whole;
    // The smallest has no more than a few extents of 4 MiB.
    for (const [i, share] of shares.entries())
      assert.ok(Math.abs(share - mean) < (i === 0 ? 0.3 : 0.15), `${share} where the mean is ${mean}`);
  });

  test('all of them fill up to their reserves, and no load fails while there is room anywhere', async (t) => {
    const load = await node.run('load', '/source/rest', '--wait', '--json');
    const [job] = objectsOf<JobStatus>({ ...load, code: 0 });
    assert.equal(load.code, 3, 'it is more than they hold');
    const { cache, devices: filled } = await status();
    assert.equal(cache.state, 'full');
    assert.equal(cache.records, some + (job?.filesDone ?? 0));
    for (const [i, device] of devices.entries()) {
      assert.ok(device.kind === 'ready');
      const freeBytes = await device.what.freeBytes();
      const reserveBytes = (sizes[i] ?? 0) * miB * 0.1;
      const { usedBytes = 0, sizeBytes = 1 } = filled[i] ?? {};
      t.diagnostic(
        `${sizes[i]} MiB: ${(usedBytes / sizeBytes).toFixed(2)} used, ${(freeBytes / miB).toFixed(1)} MiB free`,
      );
      // What its state and a segment's end take: a few extents of 4 MiB.
      assert.ok(freeBytes > 0.8 * reserveBytes, `${freeBytes} left of ${reserveBytes}`);
      assert.ok(sizeBytes - usedBytes < 10 * miB, `${usedBytes} of ${sizeBytes} used`);
    }
  });

  test('half a cache is a cache: each epoch fetches what is not there, right bytes, and nothing moves', async () => {
    await using mill = await connect({ socket: node.socket });
    const data = await mill.dataset('/source');
    const earlier = await status();
    for (const epoch of [0, 1]) {
      let samples = 0;
      for await (using batch of data.loader({ batchSize: 20, shuffle: true, seed: 2, epoch })) {
        for (let i = 0; i < batch.length; i += 1) {
          const bytes = await readFile(join(source, batch.path(i).slice('/source'.length)));
          assert.ok(bytes.equals(batch.sample(i)), batch.path(i));
        }
        samples += batch.length;
      }
      assert.equal(samples, files);
    }
    const later = await status();
    const missing = 2 * (files - earlier.cache.records) * fileBytes;
    assert.ok(later.cache.sourceBytes - earlier.cache.sourceBytes <= missing, 'no more is fetched than is not there');
    assert.equal(later.cache.evictedBytes, 0);
    assert.ok(later.cache.records >= earlier.cache.records);
  });

  test('--size is dealt by what each can hold', async () => {
    await node.stop();
    node = await start('--size', '132MiB');
    const { devices: dealt } = await status();
    const total = dealt.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    assert.ok(Math.abs(total - 132 * miB) < miB, `${total}`);
    const [small = 0, middle = 0, large = 0] = dealt.map(({ sizeBytes }) => sizeBytes);
    assert.ok(middle > 2 * small && large > 2 * middle, `${small} ${middle} ${large}`);
  });
});
