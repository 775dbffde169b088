import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { connect } from '@millpool/client';
import type { JobStatus, Status } from '@millpool/protocol';

import { errorOf, errorsOf, objectsOf } from '../harness/command-output.ts';
import { MillpoolNode, runMillpool } from '../harness/millpool-process.ts';
import { seededBytes } from '../harness/seeded-random.ts';
import { SmallFilesystem } from '../harness/small-filesystem.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';

const files = 200;
const fileBytes = 200_000;
const extentBytes = 4 << 20;
/** Attachments that take their room in the coordination store, and how many at most it has room for when it is full. */
const longName = 800;
const attachesMax = 100;
const folder = await temporaryFolder('full');
const device = await SmallFilesystem.ext4(join(folder.path, 'data'), 96 << 20);
const state = await SmallFilesystem.inMemory(join(folder.path, 'state'), 4 << 20);
const skip = device.kind === 'unavailable' ? device.why : state.kind === 'unavailable' ? state.why : false;

describe('devices without room', { skip }, () => {
  const source = join(folder.path, 'source');
  const other = join(folder.path, 'other');
  const indexOf = (path: string): number => Number(path.slice(path.lastIndexOf('-') + 1));
  let node: MillpoolNode;

  before(async () => {
    for (const directory of [source, other]) await mkdir(directory);
    for (let i = 0; i < files; i += 1) await writeFile(join(source, `file-${i}`), seededBytes(i, fileBytes));
    for (let i = 0; i < 3000; i += 1) await writeFile(join(other, `a-rather-long-name-of-a-file-${i}`), String(i));
    await sleep(2100);
  });
  after(async () => {
    await node.stop();
    for (const mounted of [device, state]) if (mounted.kind === 'ready') await mounted.what.unmount();
    await folder.remove();
  });

  async function status(): Promise<Status> {
    const [found] = objectsOf<Status>(await node.run('status', '--json'));
    assert.ok(found !== undefined);
    return found;
  }

  test('a state directory without room keeps a daemon from starting, by one clear error', async () => {
    assert.ok(state.kind === 'ready');
    await state.what.fill();
    const env = {
      ...process.env,
      MILLPOOL_SOCKET: join(folder.path, 'millpool.sock'),
      MILLPOOL_STATE_DIRECTORY: state.what.directory,
    };
    const up = await runMillpool(['up', source, '--data', join(folder.path, 'data'), '--json'], env);
    const error = errorOf(up);
    assert.deepEqual([up.code, error.code], [1, 'full']);
    assert.match(error.message, new RegExp(state.what.directory));
    await state.what.relieve();
    node = await MillpoolNode.start({ directory: folder.path, sources: [source] });
  });

  test('a device that fills up in mid-epoch: the epoch goes on from the source, and status says why', async () => {
    assert.ok(device.kind === 'ready');
    await using mill = await connect({ socket: node.socket });
    const data = await mill.dataset('/source');
    const epoch = async (atSamples: number, act: () => Promise<void>): Promise<void> => {
      let samples = 0;
      for await (using batch of data.loader({ batchSize: 10, prefetch: 1, hints: 'off' })) {
        for (let i = 0; i < batch.length; i += 1) {
          assert.deepEqual(Buffer.from(batch.sample(i)), seededBytes(indexOf(batch.path(i)), fileBytes));
        }
        samples += batch.length;
        if (samples === atSamples) await act();
      }
      assert.equal(samples, files);
    };
    await epoch(50, () => device.what.fill());
    // A segment that was sealed meanwhile gave its tail back: less than an extent.
    assert.ok((await device.what.freeBytes()) < extentBytes);
    const { cache, devices } = await status();
    assert.equal(cache.state, 'full');
    assert.match(
      cache.why,
      new RegExp(`the filesystem of ${device.what.directory} has \\d+ bytes left.*millpool free`),
    );
    assert.equal(devices[0]?.state, 'full');
    assert.ok(cache.records > 0 && cache.records < files, `${cache.records} records`);

    const load = await node.run('load', '/source', '--wait', '--json');
    const [job] = objectsOf<JobStatus>({ ...load, code: 0 });
    assert.deepEqual([load.code, job?.filesDone], [3, (await status()).cache.records]);
    for (const { code, message } of errorsOf(load)) assert.deepEqual([code, /no room/.test(message)], ['full', true]);

    await device.what.relieve();
    // A full device is tried again when some time has passed.
    await sleep(1100);
    await epoch(0, async () => undefined);
    objectsOf(await node.run('load', '/source', '--wait', '--json'));
    const later = (await status()).cache;
    assert.deepEqual([later.state, later.why, later.records], ['on', '', files]);
  });

  test('a state directory that fills up: attach is refused, what is there is read, and room heals it', async () => {
    assert.ok(state.kind === 'ready');
    await state.what.fill();
    assert.equal(await state.what.freeBytes(), 0);
    // The store's file has pages that are free: they are used up first.
    const attached: string[] = [];
    let attach = await node.run('attach', other, '--at', '/other', '--json');
    while (attach.code === 0 && attached.length < attachesMax) {
      attached.push(objectsOf<{ path: string }>(attach)[0]?.path ?? '');
      const at = `/${String(attached.length).padStart(longName, '0')}`;
      attach = await node.run('attach', other, '--at', at, '--json');
    }
    assert.deepEqual([attach.code, errorOf(attach).code], [1, 'full']);
    assert.match(errorOf(attach).message, /No space left/);
    await using mill = await connect({ socket: node.socket });
    assert.deepEqual(Buffer.from(await mill.read('/source/file-7')), seededBytes(7, fileBytes));
    assert.deepEqual(
      (await status()).attachments.map(({ path }) => path),
      [...attached, '/source'].toSorted(),
    );
    await state.what.relieve();
    if (attached.length === 0) objectsOf(await node.run('attach', other, '--at', '/other', '--json'));

    await state.what.fill();
    const list = await node.run('ls', '/other', '--json');
    if (list.code !== 0) assert.deepEqual([list.code, errorOf(list).code], [1, 'full']);
    assert.deepEqual(Buffer.from(await mill.read('/source/file-8')), seededBytes(8, fileBytes));
    await state.what.relieve();
    assert.equal(objectsOf(await node.run('ls', '/other', '--json')).length, 3000);
  });
});
