import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import type { DeviceStatus, Status } from '@millpool/protocol';

import { objectsOf } from '../harness/command-output.ts';
import { DyingDevice } from '../harness/dying-device.ts';
import { MillpoolNode } from '../harness/millpool-process.ts';
import { seededBytes } from '../harness/seeded-random.ts';
import { SmallFilesystem } from '../harness/small-filesystem.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';

const miB = 1024 ** 2;
const files = 160;
const fileBytes = 200_000;
const deviceBytes = 64 * miB;
const folder = await temporaryFolder('lost-devices');
const dying = await DyingDevice.start(join(folder.path, 'dying'), deviceBytes);
const mounted = await SmallFilesystem.ext4(join(folder.path, 'mounted'), deviceBytes);
/** The one that stays, as large as the others: they are filled alike. */
const staying = await SmallFilesystem.ext4(join(folder.path, 'staying'), deviceBytes);
const unavailable = [dying, mounted, staying].find((device) => device.kind === 'unavailable');
const skip = unavailable?.kind === 'unavailable' ? unavailable.why : false;

/** One epoch after another, slowly, each sample held against its file; says after each batch what it has seen. */
const loopScript = `
  import { readFileSync } from 'node:fs';
  import { setTimeout as sleep } from 'node:timers/promises';
  import { connect } from '@millpool/client';
  const [socket, source, epochs] = process.argv.slice(1);
  const mill = await connect({ socket });
  const data = await mill.dataset('/source');
  const seen = { right: 0, wrong: 0 };
  for (let epoch = 0; epoch < Number(epochs); epoch += 1) {
    for await (const batch of data.loader({ batchSize: 8, prefetch: 1, shuffle: true, seed: 3, epoch, hints: 'off' })) {
      for (let i = 0; i < batch.length; i += 1) {
        const right = readFileSync(source + batch.path(i).slice('/source'.length)).equals(batch.sample(i));
        seen[right ? 'right' : 'wrong'] += 1;
      }
      batch.release();
      process.stdout.write(JSON.stringify(seen) + '\\n');
      await sleep(20);
    }
  }
  await mill.close();
`;

describe('devices that are lost', { skip }, () => {
  const source = join(folder.path, 'source');
  let node: MillpoolNode;
  let samples = files;

  before(async () => {
    await mkdir(join(source, 'more'), { recursive: true });
    for (let i = 0; i < files; i += 1) await writeFile(join(source, `file-${i}`), seededBytes(i, fileBytes));
    await sleep(2100);
  });
  after(async () => {
    await node.stop();
    for (const device of [dying, mounted, staying]) if (device.kind === 'ready') await device.what.unmount();
    await folder.remove();
  });

  function start(other: string): Promise<MillpoolNode> {
    const data = join(folder.path, 'staying');
    // The disk below an image may say that it rotates, and memory does not: they are one tier here.
    const env = { MILLPOOL_FRESHNESS: 'ttl=1s', MILLPOOL_ROTATIONAL: 'fast' };
    return MillpoolNode.start({ directory: folder.path, data, sources: [source], args: ['--data', other], env });
  }

  async function status(): Promise<Status> {
    const [found] = objectsOf<Status>(await node.run('status', '--json'));
    assert.ok(found !== undefined);
    return found;
  }

  async function deviceAt(path: string): Promise<DeviceStatus> {
    const found = (await status()).devices.find((device) => device.path === path);
    assert.ok(found !== undefined, `status names ${path}`);
    return found;
  }

  /** Reads for some epochs, and `act` comes in their midst; no sample is wrong or an error, and the process lives. */
  async function loop(epochs: number, act: () => Promise<void>): Promise<void> {
    const args = ['--input-type=module', '-e', loopScript, node.socket, source, String(epochs)];
    const child = spawn(process.execPath, args, { cwd: import.meta.dirname, stdio: ['ignore', 'pipe', 'inherit'] });
    const exit = once(child, 'exit');
    let seen = { right: 0, wrong: 0 };
    let acted: Promise<void> | null = null;
    for await (const line of createInterface(child.stdout)) {
      seen = JSON.parse(line) as typeof seen;
      if (seen.right >= files / 4) acted ??= act();
    }
    await acted;
    assert.deepEqual(await exit, [0, null]);
    assert.deepEqual(seen, { right: epochs * samples, wrong: 0 });
  }

  async function segmentsIn(directory: string): Promise<readonly string[]> {
    const names = await readdir(join(directory, 'segments'));
    return names.map((name) => join(directory, 'segments', name));
  }

  test('one that dies under a loop: right samples, loads go to the others, status says why', async () => {
    assert.ok(dying.kind === 'ready');
    const { what: device } = dying;
    node = await start(device.directory);
    objectsOf(await node.run('load', '/source', '--wait', '--json'));
    assert.equal((await status()).cache.records, files);
    // Nothing is mapped or open any more, so that the device is asked.
    await node.stop();
    node = await start(device.directory);
    const held = await segmentsIn(device.directory);
    assert.ok(held.length > 0 && (await deviceAt(device.directory)).usedBytes > (files * fileBytes) / 4);
    await device.dropFromMemory(held);
    const { pid } = node;
    await loop(3, async () => {
      await device.die();
      assert.deepEqual(
        await Promise.all(held.map((path) => device.gives(path))),
        held.map(() => false),
      );
    });
    const more = await mkMore('after-death');
    objectsOf(await node.run('load', '/source/more', '--wait', '--json'));
    const { state, reason } = await deviceAt(device.directory);
    assert.equal(state, 'failed', JSON.stringify(await status()));
    assert.match(reason, /[Ii]nput\/output error|Read-only/);
    const { cache, devices } = await status();
    assert.deepEqual([cache.state, devices[0]?.state], ['on', 'ok']);
    assert.match(cache.why, new RegExp(`${device.directory} failed and is left alone`));
    assert.deepEqual([node.pid, node.ended], [pid, null]);
    const [loaded] = objectsOf<{ cachedBytes: number }>(await node.run('stat', `/source/more/${more}`, '--json'));
    assert.equal(loaded?.cachedBytes, fileBytes);
  });

  test('a start with a device that is dead goes on without it, and takes it up again when it is new', async () => {
    assert.ok(dying.kind === 'ready');
    const { what: device } = dying;
    await node.stop();
    await device.refuses();
    node = await start(device.directory);
    assert.equal((await deviceAt(device.directory)).state, 'failed');
    await loop(1, async () => undefined);
    await node.stop();
    await device.replace(deviceBytes);
    node = await start(device.directory);
    const { state, sizeBytes } = await deviceAt(device.directory);
    assert.equal(state, 'ok');
    assert.ok(sizeBytes > deviceBytes / 2);
    await loop(1, async () => undefined);
    await node.stop();
  });

  test('one that is unmounted under a loop is read on, and nothing is written where it was', async () => {
    assert.ok(mounted.kind === 'ready');
    const { what: device } = mounted;
    node = await start(device.directory);
    await node.run('free', '/source');
    objectsOf(await node.run('load', '/source', '--wait', '--json'));
    assert.ok((await deviceAt(device.directory)).usedBytes > (files * fileBytes) / 4);
    await loop(2, () => device.unmount());
    assert.deepEqual(await readdir(device.directory), []);
    await mkMore('after-unmount');
    objectsOf(await node.run('load', '/source/more', '--wait', '--json'));
    await node.stop();
    assert.deepEqual(await readdir(device.directory), [], 'the directory below is as it was');
  });

  test('a start without a mount says so, goes on without it, fills nothing else, and takes it up again', async () => {
    assert.ok(mounted.kind === 'ready');
    const { what: device } = mounted;
    for (let again = 0; again < 2; again += 1) {
      node = await start(device.directory);
      const { state, reason } = await deviceAt(device.directory);
      assert.equal(state, 'failed');
      assert.match(reason, new RegExp(`${device.directory} is not used: ${device.directory} is not mounted`));
      assert.match(node.stderr, /a data directory is left out until the next start.*is not mounted/);
      assert.match((await node.run('status')).stdout, /is not mounted/);
      await node.stop();
    }
    await device.mountAgain();
    node = await start(device.directory);
    const { state, usedBytes } = await deviceAt(device.directory);
    assert.equal(state, 'ok');
    assert.ok(usedBytes > (files * fileBytes) / 4, 'what it held is there');
    await loop(1, async () => undefined);
    await node.stop();

    await device.unmount();
    node = await start(device.directory);
    await loop(1, async () => undefined);
    await node.stop();
    assert.deepEqual(await readdir(device.directory), []);
    await device.mountAgain();
  });

  test('a start with a device that is read-only goes on without it', async () => {
    assert.ok(mounted.kind === 'ready');
    const { what: device } = mounted;
    await device.setReadOnly(true);
    node = await start(device.directory);
    const { state, reason } = await deviceAt(device.directory);
    assert.equal(state, 'failed');
    assert.match(reason, /read-only/i);
    await loop(1, async () => undefined);
    await node.stop();
    await device.setReadOnly(false);
    node = await start(device.directory);
    assert.equal((await deviceAt(device.directory)).state, 'ok');
  });

  async function mkMore(name: string): Promise<string> {
    await writeFile(join(source, 'more', name), seededBytes(name.length, fileBytes));
    samples += 1;
    await sleep(2100);
    return name;
  }
});
