import assert from 'node:assert/strict';
import { mkdtemp, rm, statfs, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';

import { sizeDevices } from './device-size.ts';

const [miB, giB] = [1024 ** 2, 1024 ** 3];
/** Other processes of the machine write meanwhile. */
const slackBytes = 2 * giB;

async function directory(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'millpool-size-'));
  t.after(() => rm(path, { recursive: true }));
  return path;
}

async function fileSystem(path: string): Promise<{ totalBytes: number; freeBytes: number }> {
  const { blocks, bavail, bsize } = await statfs(path);
  return { totalBytes: blocks * bsize, freeBytes: bavail * bsize };
}

test('without a setting a device takes what is free but min(10 %, 10 GiB) of it', async (t) => {
  const path = await directory(t);
  const { totalBytes, freeBytes } = await fileSystem(path);
  const [device] = await sizeDevices([path], null, 'fast');
  assert.equal(device?.reserveBytes, Math.floor(Math.min(totalBytes / 10, 10 * giB)));
  const expected = Math.max(0, freeBytes - (device?.reserveBytes ?? 0));
  assert.ok(Math.abs((device?.sizeBytes ?? 0) - expected) < slackBytes, `${device?.sizeBytes} of ${expected}`);
});

test('a number of bytes is what all devices hold together, and reserves nothing', async (t) => {
  const paths = [await directory(t), await directory(t), await directory(t)];
  const devices = await sizeDevices(paths, { kind: 'bytes', bytes: 600 * miB }, 'fast');
  assert.deepEqual(
    devices.map(({ path, reserveBytes }) => ({ path, reserveBytes })),
    paths.map((path) => ({ path, reserveBytes: 0 })),
  );
  const total = devices.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  assert.ok(total <= 600 * miB && total > 599 * miB, `${total}`);
});

test('what the directory holds already counts as room', async (t) => {
  const path = await directory(t);
  const { totalBytes } = await fileSystem(path);
  const percent = 100;
  const [before] = await sizeDevices([path], { kind: 'percent', percent }, 'fast');
  await writeFile(join(path, 'held'), Buffer.alloc(64 * miB, 1));
  const [after] = await sizeDevices([path], { kind: 'percent', percent }, 'fast');
  assert.ok((after?.sizeBytes ?? 0) <= totalBytes);
  assert.ok(Math.abs((after?.sizeBytes ?? 0) - (before?.sizeBytes ?? 0)) < slackBytes);
});

test('a size that holds no segments is refused, with the least that it takes', async (t) => {
  const path = await directory(t);
  await assert.rejects(
    sizeDevices([path], { kind: 'bytes', bytes: miB }, 'fast'),
    (error: Error & { remedy?: string }) => {
      assert.match(error.message, /would hold 1MiB/);
      assert.match(error.remedy ?? '', /64MiB/);
      return true;
    },
  );
});

test('directories on one file system share its room', async (t) => {
  const paths = [await directory(t), await directory(t)];
  const { totalBytes, freeBytes } = await fileSystem(paths[0] ?? '');
  for (const setting of [null, { kind: 'percent', percent: 100 }] as const) {
    const devices = await sizeDevices(paths, setting, 'fast');
    const sum = devices.reduce((bytes, { sizeBytes }) => bytes + sizeBytes, 0);
    const reserved = setting === null ? Math.min(totalBytes / 10, 10 * giB) : 0;
    assert.ok(Math.abs(sum - (freeBytes - reserved)) < slackBytes, `${sum} of ${freeBytes}`);
  }
});

test('a directory that is away keeps its part of the size: nobody else fills it', async (t) => {
  const path = await directory(t);
  const setting = { kind: 'bytes', bytes: 300 * miB } as const;
  const away = (sizeBytes: number | null) =>
    [{ path: '/away', tier: 'fast', reason: 'It is away.', sizeBytes }] as const;
  assert.equal((await sizeDevices([path], setting, 'fast', away(200 * miB)))[0]?.sizeBytes, 100 * miB);
  assert.equal((await sizeDevices([path], setting, 'fast', away(null)))[0]?.sizeBytes, 150 * miB);
});
