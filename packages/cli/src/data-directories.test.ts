import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, readdir, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';

import { MillpoolError } from '@millpool/protocol';

import { findDataDirectories, noteDirectories } from './data-directories.ts';
import type { DataDirectories } from './data-directories.ts';
import { notesName } from './directory-notes.ts';
import { mountPointOf, mountPointsOf } from './mounts.ts';
import type { Mounts } from './mounts.ts';

const use = { what: 'The data directory', setting: '--data', mode: 0o700 };
const sizeBytes = 1_000;

/** Two data directories, of which each may lie on a file system of its own. */
async function place(t: TestContext): Promise<{ one: string; two: string; root: string; state: string }> {
  const root = await realpath(await mkdtemp(join(tmpdir(), 'millpool-directories-')));
  t.after(() => rm(root, { recursive: true }));
  return { root, one: join(root, 'one', 'data'), two: join(root, 'two', 'data'), state: join(root, 'state') };
}

function mounts(mounted: readonly string[], expected: readonly string[] = []): Mounts {
  return { mounted: new Set(['/', ...mounted]), expected: new Set(expected) };
}

function find(paths: readonly string[], stateDirectory: string, known: Mounts): Promise<DataDirectories> {
  const directories = paths.map((path) => ({ path, tier: 'fast', use }) as const);
  return findDataDirectories({ directories, stateDirectory }, known);
}

async function start(paths: readonly string[], stateDirectory: string, known: Mounts): Promise<DataDirectories> {
  const found = await find(paths, stateDirectory, known);
  await noteDirectories(
    found.usable.map((path) => ({ path, sizeBytes })),
    found.leftOut,
    known,
  );
  return found;
}

test('one whose file system is not mounted any more is left out at each start, and comes back with it', async (t) => {
  const { one, two, root, state } = await place(t);
  const both = mounts([join(root, 'one'), join(root, 'two')]);
  assert.deepEqual(await start([one, two], state, both), { usable: [one, two], leftOut: [] });
  await rm(join(root, 'two'), { recursive: true });
  for (let again = 0; again < 2; again += 1) {
    const { usable, leftOut } = await start([one, two], state, mounts([join(root, 'one')]));
    assert.deepEqual(usable, [one]);
    assert.deepEqual(
      leftOut.map(({ path, sizeBytes: held }) => [path, held]),
      [[two, sizeBytes]],
    );
    assert.match(leftOut[0]?.reason ?? '', new RegExp(`${two} is not used: ${root}/two is not mounted`));
    assert.deepEqual(await readdir(root), ['one'], 'nothing is made where it would be');
  }
  assert.deepEqual((await start([one, two], state, both)).usable, [one, two]);
});

test('what fstab names and is not mounted is left out at the first start', async (t) => {
  const { one, two, root, state } = await place(t);
  const { usable, leftOut } = await find([one, two], state, mounts([], [join(root, 'two'), '/', '/elsewhere']));
  assert.deepEqual([usable, leftOut.map(({ path }) => path)], [[one], [two]]);
});

test('a start without one of them, and another with it, takes it as it is', async (t) => {
  const { one, two, root, state } = await place(t);
  await start([one, two], state, mounts([join(root, 'two')]));
  await start([one], state, mounts([]));
  await rm(two, { recursive: true });
  assert.deepEqual((await start([one, two], state, mounts([]))).usable, [one, two]);
});

test('a new file system at the same place is taken as it is: a device was replaced', async (t) => {
  const { one, two, root, state } = await place(t);
  const both = mounts([join(root, 'two')]);
  await start([one, two], state, both);
  await rm(two, { recursive: true });
  assert.deepEqual((await start([one, two], state, both)).usable, [one, two]);
});

test('one that cannot be written to is left out by its reason, and all of them are an error', async (t) => {
  const { one, two, root, state } = await place(t);
  await mkdir(join(root, 'two'));
  await writeFile(two, 'no directory');
  const { usable, leftOut } = await find([one, two], state, mounts([]));
  assert.deepEqual([usable, leftOut.map(({ path }) => path)], [[one], [two]]);
  assert.match(leftOut[0]?.reason ?? '', /cannot be used: it is no directory/);
  await assert.rejects(find([two], state, mounts([])), /cannot be used: it is no directory/);
});

test('without the directory that the state lies in there is no start: it would begin another cache', async (t) => {
  const { one, two, root } = await place(t);
  await start([one, two], join(one, 'state'), mounts([join(root, 'one')]));
  await rm(join(root, 'one'), { recursive: true });
  await assert.rejects(find([one, two], join(one, 'state'), mounts([])), (error: unknown) => {
    assert.ok(error instanceof MillpoolError);
    assert.match(error.message, new RegExp(`state directory ${one}/state cannot be used.*${root}/one is not mounted`));
    return error.remedy.includes('Mount');
  });
  assert.deepEqual(await readdir(root), ['two']);
});

test('notes that are damaged, or of another format, say nothing and are written again', async (t) => {
  const { one, state } = await place(t);
  await mkdir(one, { recursive: true });
  for (const text of ['', '{', '[]', '{"format":2,"directories":[]}', '{"format":1,"directories":[null,{"path":1}]}']) {
    await writeFile(join(one, notesName), text);
    assert.deepEqual((await start([one], state, mounts([]))).usable, [one]);
    const directories = [{ path: one, mountPoint: '/', sizeBytes }];
    assert.deepEqual(JSON.parse(await readFile(join(one, notesName), 'utf8')), { format: 1, directories });
  }
  await chmod(one, 0o700);
});

test('mount points are read as the kernel and fstab write them', () => {
  const mountinfo =
    '36 35 98:0 / /mnt/with\\040blank rw shared:1 - ext4 /dev/root rw\n25 1 0:6 / / rw - tmpfs none rw\n';
  assert.deepEqual([...mountPointsOf(mountinfo, 4)], ['/mnt/with blank', '/']);
  const fstab =
    '# a comment /no\nUUID=1 / ext4 defaults 0 1\n/dev/nvme0n1\t/nvme0 xfs noatime 0 2\nswap none swap sw 0 0\n';
  assert.deepEqual([...mountPointsOf(fstab, 1)], ['/', '/nvme0']);
  assert.equal(mountPointOf('/nvme0/millpool', new Set(['/', '/nvme0', '/nvme'])), '/nvme0');
  assert.equal(mountPointOf('/nvme0/millpool', new Set(['/nvme'])), null);
});
