import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, realpath, rename, rm, symlink, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';

import { MillpoolError } from '@millpool/protocol';

import { openUnderStorage } from '../open.ts';
import { underStorageContract } from '../testing/contract.ts';
import type { ListPage, UnderStorage } from '../under-storage.ts';

const run = promisify(execFile);
const never = new AbortController().signal;

let place: string;
before(async () => {
  place = await realpath(await mkdtemp(join(tmpdir(), 'millpool-local-')));
});
after(() => rm(place, { recursive: true, force: true }));

underStorageContract('a folder', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'millpool-contract-'));
  const storage = await openUnderStorage(folder, null);
  return {
    storage,
    holds: storage.supports,
    refuses: null,
    async put(key, bytes) {
      const path = Buffer.concat([Buffer.from(`${folder}/`), key]);
      await mkdir(path.subarray(0, path.lastIndexOf('/')), { recursive: true });
      await writeFile(path, bytes);
    },
    stop: () => rm(folder, { recursive: true }),
  };
});

async function folderWith(name: string, files: readonly string[]): Promise<UnderStorage> {
  for (const file of files) {
    await mkdir(join(place, name, file, '..'), { recursive: true });
    await writeFile(join(place, name, file), file);
  }
  return openUnderStorage(join(place, name), null);
}

async function listed(storage: UnderStorage, recursive: boolean, prefix = ''): Promise<ListPage> {
  return storage.list({ prefix: Buffer.from(prefix), recursive, after: null, limit: 1000, signal: never });
}

function names(page: ListPage): string[] {
  return [...Array.from(page.files.keys(), String), ...page.directories.map(String)];
}

function skipped(page: ListPage): Record<string, string> {
  return Object.fromEntries(page.skipped.map(({ key, why }) => [Buffer.from(key).toString(), why]));
}

function hasCode(code: string, message: RegExp): (error: unknown) => boolean {
  return (error) => error instanceof MillpoolError && error.code === code && message.test(error.message);
}

test('links inside the folder are followed, links out of it are not and are said', async () => {
  await folderWith('outside', ['secret']);
  const storage = await folderWith('links', ['v1/data', 'v1/more/data']);
  const folder = join(place, 'links');
  await symlink('v1', join(folder, 'latest'));
  await symlink('data', join(folder, 'v1/alias'));
  await symlink(join(place, 'outside'), join(folder, 'out-directory'));
  await symlink(join(place, 'outside/secret'), join(folder, 'out-file'));
  await symlink('nothing', join(folder, 'broken'));
  await symlink('..', join(folder, 'v1/more/up'));
  const page = await listed(storage, true);
  const found = ['alias', 'data', 'more/data'].flatMap((name) => [`latest/${name}`, `v1/${name}`]).sort();
  assert.deepEqual(names(page), found);
  assert.deepEqual(skipped(page), {
    broken: 'dangling',
    'latest/more/up': 'loop',
    'out-directory': 'outside',
    'out-file': 'outside',
    'v1/more/up': 'loop',
  });
  assert.deepEqual(names(await listed(storage, false)), ['latest/', 'v1/']);
  for (const file of page.files) assert.deepEqual(await storage.stat(file.key, never), file);
  for (const key of ['out-file', 'out-directory/secret', 'broken', 'v1/more/up/data', 'latest/more/up/data']) {
    assert.equal(await storage.stat(Buffer.from(key), never), null, key);
  }
  for (const prefix of ['out-directory/', 'v1/more/up/', 'broken/']) {
    assert.deepEqual(names(await listed(storage, true, prefix)), [], prefix);
  }
});

test('what is neither file nor directory is skipped and said', async () => {
  const storage = await folderWith('special', ['file']);
  await run('mkfifo', [join(place, 'special/pipe')]);
  const page = await listed(storage, true);
  assert.deepEqual([names(page), skipped(page)], [['file'], { pipe: 'special' }]);
  assert.equal(await storage.stat(Buffer.from('pipe'), never), null);
});

test('no key leads out of the folder', async () => {
  const storage = await folderWith('inside', ['file']);
  for (const key of ['../special/file', '..', '.', './file', '/file', 'file\0', '//etc/passwd', 'x/../file']) {
    assert.equal(await storage.stat(Buffer.from(key), never), null, key);
  }
  assert.deepEqual(names(await listed(storage, true, '../special/')), []);
});

test('a directory without files is listed, and an empty folder is no error', async () => {
  await mkdir(join(place, 'hollow/inner'), { recursive: true });
  const storage = await openUnderStorage(join(place, 'hollow'), null);
  assert.deepEqual(names(await listed(storage, false)), ['inner/']);
  assert.deepEqual(names(await listed(storage, true)), []);
});

test('a folder that is missing, a file, or gone later is one clear error', async () => {
  await assert.rejects(openUnderStorage(join(place, 'none'), null), hasCode('not-found', /none/));
  const storage = await folderWith('going', ['file']);
  await assert.rejects(openUnderStorage(join(place, 'going/file'), null), hasCode('invalid', /is not a folder/));
  await rename(join(place, 'going'), join(place, 'gone'));
  const isGone = hasCode('source-unavailable', /going was attached and is gone/);
  await assert.rejects(listed(storage, true), isGone);
  await assert.rejects(storage.stat(Buffer.from('file'), never), isGone);
  await writeFile(join(place, 'going'), 'a file where the folder was');
  await assert.rejects(listed(storage, true), hasCode('invalid', /is not a folder/));
});

test('a folder whose file system was unmounted is an error, not empty', async (context) => {
  const folder = join(place, 'mounted');
  await mkdir(folder);
  const mounted = await run('mount', ['-t', 'tmpfs', 'millpool-test', folder]).catch((error: Error) => error);
  if (mounted instanceof Error) return context.skip(`no file system can be mounted here: ${mounted.message}`);
  await writeFile(join(folder, 'file'), 'x');
  const storage = await openUnderStorage(folder, null);
  assert.deepEqual(names(await listed(storage, true)), ['file']);
  await run('umount', [folder]);
  await assert.rejects(listed(storage, true), hasCode('source-unavailable', /another device/));
  await assert.rejects(storage.stat(Buffer.from('file'), never), hasCode('source-unavailable', /another device/));
  return undefined;
});

test('a directory that may not be read is an error that names it', async (context) => {
  await folderWith('locked', ['open/file', 'shut/file']);
  await chmod(join(place, 'locked/shut'), 0);
  if (process.getuid?.() !== 0) {
    const storage = await openUnderStorage(join(place, 'locked'), null);
    await assert.rejects(listed(storage, true), hasCode('refused', /locked\/shut/));
    return undefined;
  }
  const nobody = 65534;
  const module = new URL('../open.js', import.meta.url).href;
  const script = `
    process.setgid(${nobody}); process.setuid(${nobody});
    const { openUnderStorage } = await import(${JSON.stringify(module)});
    const storage = await openUnderStorage(process.argv[1], null);
    const { signal } = new AbortController();
    const request = { prefix: new Uint8Array(), recursive: true, after: null, limit: 10, signal };
    await storage.list(request).catch((error) => process.stdout.write(error.code + ' ' + error.message));`;
  await chmod(place, 0o755);
  const ran = await run(process.execPath, ['--input-type=module', '-e', script, join(place, 'locked')]).catch(
    (error: Error) => error,
  );
  if (ran instanceof Error) return context.skip(`no other user may load the code: ${ran.message.split('\n')[1] ?? ''}`);
  assert.match(ran.stdout, /^refused .*locked\/shut/);
  return undefined;
});

test('pages of a large directory go on from the walk that is kept, and from nothing', async () => {
  const files = Array.from({ length: 1500 }, (_, at) => `d${at % 3}/file-${at}`);
  const storage = await folderWith('large', files);
  const want = [...files].sort();
  const fresh = await openUnderStorage(join(place, 'large'), null);
  const got: string[] = [];
  const request = { prefix: Buffer.alloc(0), recursive: true, limit: 64, signal: never };
  for (let from: Uint8Array | null = null, ended = false; !ended;) {
    const page: ListPage = await storage.list({ ...request, after: from });
    const again = await fresh.list({ ...request, after: from });
    await fresh.list({ ...request, after: Buffer.from('d1/file-1') });
    assert.deepEqual(names(page), names(again));
    got.push(...names(page));
    from = page.next;
    ended = from === null;
  }
  assert.deepEqual(got, want);
});

test('a file that vanishes between two pages is left out', async () => {
  const storage = await folderWith('vanishing', ['a', 'b', 'c']);
  const request = { prefix: Buffer.alloc(0), recursive: true, signal: never };
  const first = await storage.list({ ...request, after: null, limit: 1 });
  await unlink(join(place, 'vanishing/b'));
  const second = await storage.list({ ...request, after: first.next, limit: 10 });
  assert.deepEqual([names(first), names(second), second.next], [['a'], ['c'], null]);
});
