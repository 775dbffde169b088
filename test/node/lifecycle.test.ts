import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import type { Status } from '@millpool/protocol';

import { FolderNode } from '../harness/folder-node.ts';
import { MillpoolNode, runMillpool } from '../harness/millpool-process.ts';
import type { CommandResult } from '../harness/millpool-process.ts';

const files = 120;
let node: FolderNode;

before(async () => {
  node = await FolderNode.start('lifecycle', { files, seed: 5, bytesMin: 1, bytesMax: 40_000 });
});
after(() => node.stop());

/** stdout of `--json` as its objects; the command must have ended with 0. */
async function json(...args: readonly string[]): Promise<Record<string, unknown>[]> {
  const { code, stdout, stderr } = await node.run(...args, '--json');
  assert.equal(code, 0, stderr);
  return stdout
    .trimEnd()
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

function cacheOf(status: Record<string, unknown> | undefined): { bytes: number; sourceBytes: number } {
  assert.ok(status !== undefined);
  return status['cache'] as { bytes: number; sourceBytes: number };
}

/** The error object on stderr, and the exit code. */
async function failure(...args: readonly string[]): Promise<{ code: number | null; error: Record<string, string> }> {
  const { code, stderr, stdout } = await node.run(...args, '--json');
  assert.equal(stdout, '');
  const { error } = JSON.parse(stderr.trimEnd().split('\n').at(-1) ?? '') as { error: Record<string, string> };
  return { code, error };
}

test('ls lists a directory, -R every file, -l sizes and times', async () => {
  const top = await json('ls', '/source');
  assert.deepEqual(
    top.map((entry) => [entry['path'], entry['type']]),
    [
      ['/source/part-000', 'directory'],
      ['/source/part-001', 'directory'],
    ],
  );
  const all = await json('ls', '-R', '/');
  assert.deepEqual(
    all.map((entry) => entry['path']),
    node.paths,
  );
  for (const entry of all) assert.equal(entry['sizeBytes'], node.bytesOf(String(entry['path'])).length);
  const plain = await node.run('ls', '/source');
  assert.equal(plain.stdout, 'part-000/\npart-001/\n');
  const long = await node.run('ls', '-l', node.paths[0] ?? '');
  assert.match(long.stdout, /\d{4}-\d\d-\d\dT.*file-000000\.bin/);
});

test('cat writes exactly the bytes of the source', async () => {
  const path = node.paths[7] ?? '';
  const target = join(node.directory, 'copies');
  await mkdir(target);
  const copied = await node.run('cp', '-R', '/source', target);
  assert.equal(copied.code, 0, copied.stderr);
  for (const file of node.paths) assert.deepEqual(await readFile(join(target, file)), node.bytesOf(file));
  const { code, stdout } = await node.run('cat', path);
  assert.equal(code, 0);
  assert.equal(stdout, node.bytesOf(path).toString());
});

test('load --wait makes every byte resident, stat and status say so, free forgets it', async () => {
  const [job] = await json('load', '/source', '--wait');
  const bytes = node.paths.reduce((sum, path) => sum + node.bytesOf(path).length, 0);
  assert.deepEqual(
    [job?.['state'], job?.['files'], job?.['filesDone'], job?.['bytesDone']],
    ['done', files, files, bytes],
  );
  const stats = await json('stat', ...node.paths.slice(0, 10));
  for (const entry of stats) assert.equal(entry['cachedBytes'], entry['sizeBytes']);
  const [status] = await json('status');
  assert.equal(cacheOf(status).bytes, bytes);
  const [freed] = await json('free', '/source/part-000');
  assert.equal(freed?.['records'], 100);
  const [first] = await json('stat', node.paths[0] ?? '');
  assert.equal(first?.['cachedBytes'], 0);
});

test('attach and detach change the namespace; a name that is taken asks for --at', async () => {
  const other = join(node.directory, 'elsewhere', 'source');
  await mkdir(other, { recursive: true });
  await writeFile(join(other, 'x.txt'), 'hello');
  const taken = await failure('attach', other);
  assert.deepEqual([taken.code, taken.error['code']], [1, 'exists']);
  assert.match(taken.error['remedy'] ?? '', /--at/);
  await json('attach', other, '--at', '/other');
  assert.deepEqual((await json('attachments')).map((row) => row['path']).sort(), ['/other', '/source']);
  assert.equal((await node.run('cat', '/other/x.txt')).stdout, 'hello');
  await json('detach', '/other');
  const gone = await failure('stat', '/other/x.txt');
  assert.deepEqual([gone.code, gone.error['code']], [4, 'not-found']);
});

test('wrong usage is exit 2, an absent path 4, an absent daemon 5, each with one error that has a remedy', async () => {
  const cases: readonly [readonly string[], number][] = [
    [['ls', '--no-such-flag'], 2],
    [['no-such-verb'], 2],
    [['stat'], 2],
    [['attach', 'ftp://x'], 1],
    [['cat', '/source/absent'], 4],
    [['cat', '/source'], 2],
    [['load', '/absent'], 4],
    [['status', '--socket', join(node.directory, 'nobody.sock')], 5],
  ];
  for (const [args, expected] of cases) {
    const { code, error } = await failure(...args);
    assert.equal(code, expected, `${args.join(' ')}: ${JSON.stringify(error)}`);
    assert.ok((error['remedy'] ?? '').length > 0, `${args.join(' ')} has a remedy`);
  }
});

test('some paths found and some not is exit 3, with what was found on stdout', async () => {
  const { code, stdout, stderr } = await node.run('stat', node.paths[0] ?? '', '/source/absent', '--json');
  assert.equal(code, 3);
  assert.equal((JSON.parse(stdout) as { path: string }).path, node.paths[0]);
  assert.equal((JSON.parse(stderr) as { error: { path: string } }).error.path, '/source/absent');
});

test('a second daemon on the same socket or the same data directory is refused and harms nothing', async () => {
  const env = { ...process.env, MILLPOOL_SOCKET: node.socket };
  const socket = await runMillpool(['up', '--data', join(node.directory, 'data2'), '--json'], env);
  assert.equal(socket.code, 1, socket.stderr);
  assert.match(socket.stderr, /"exists"/);
  const elsewhere = { ...process.env, MILLPOOL_SOCKET: join(node.directory, 'second.sock') };
  const data = await runMillpool(['up', '--data', node.node.dataDirectory, '--json'], elsewhere);
  assert.equal(data.code, 1, data.stderr);
  assert.match(data.stderr, /"exists"/);
  assert.match(data.stderr, new RegExp(String(node.node.pid)));
  const [status] = await json('status');
  assert.equal(status?.['pid'], node.node.pid);
});

test('attachments and cached bytes come back after a restart and after kill -9', async () => {
  await json('load', '/source', '--wait');
  for (const signal of ['SIGINT', 'SIGKILL'] as const) {
    await node.restart(signal);
    const [status] = await json('status');
    assert.equal(cacheOf(status).sourceBytes, 0);
    const target = join(node.directory, `after-${signal}`);
    await mkdir(target);
    await node.run('cp', '-R', '/source', target);
    for (const file of node.paths) assert.deepEqual(await readFile(join(target, file)), node.bytesOf(file));
    const [later] = await json('status');
    if (signal === 'SIGINT') assert.equal(cacheOf(later).sourceBytes, 0);
  }
});

test('up --detach returns when the daemon answers, and down ends it', async () => {
  const directory = join(node.directory, 'detached');
  await mkdir(directory);
  const env = { ...process.env, MILLPOOL_SOCKET: join(directory, 'd.sock') };
  const up = await runMillpool(['up', node.source, '--data', join(directory, 'data'), '--detach', '--json'], env);
  assert.equal(up.code, 0, up.stderr);
  const { pid } = JSON.parse(up.stdout) as { pid: number };
  const list = await runMillpool(['ls', '-R', '/source'], env);
  assert.equal(list.stdout.trimEnd().split('\n').length, files);
  const down = await runMillpool(['down', '--json'], env);
  assert.equal(down.code, 0, down.stderr);
  assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' });
});

test('up --detach that cannot attach fails as up does, by the words of this start, and nothing runs', async () => {
  const directory = join(node.directory, 'detached-wrong');
  await mkdir(directory);
  const env = { ...process.env, MILLPOOL_SOCKET: join(directory, 'd.sock') };
  const up = (source: string): Promise<CommandResult> =>
    runMillpool(['up', source, '--data', join(directory, 'data'), '--detach', '--json'], env);
  const first = await up(join(directory, 'absent-first'));
  assert.deepEqual([first.code, first.stdout], [4, ''], first.stderr);
  const second = await up(join(directory, 'absent-second'));
  assert.equal(second.code, 4);
  assert.match(second.stderr, /absent-second/);
  assert.doesNotMatch(second.stderr, /absent-first/);
  assert.equal((await runMillpool(['status'], env)).code, 5);
});

test('config prints every setting with where it came from', async () => {
  const rows = await json('config');
  const socket = rows.find((row) => row['name'] === 'socket');
  assert.deepEqual([socket?.['value'], socket?.['origin']], [node.socket, 'environment']);
});

test('up that ends by a wrong source leaves nothing running', async () => {
  const directory = join(node.directory, 'wrong');
  await mkdir(directory);
  await assert.rejects(
    MillpoolNode.start({ directory, sources: [join(directory, 'absent')] }),
    /the daemon ended with [14].*absent/s,
  );
});

test('up refuses a place that is none, and a data directory that is a file, before anything is made', async () => {
  const directory = join(node.directory, 'refused');
  await mkdir(directory);
  const file = join(directory, 'file');
  await writeFile(file, '');
  const env = { ...process.env, MILLPOOL_SOCKET: join(directory, 'sock') };
  const up = (...args: string[]): Promise<CommandResult> => runMillpool(['up', node.source, ...args, '--json'], env);
  for (const [args, says] of [
    [['--data', file], /data directory .*file cannot be used: it is no directory/],
    [['--data', join(file, 'below')], /is no directory/],
    [['--data', join(directory, 'data'), '--at', 'relative'], /relative/],
    [['--data', join(directory, 'data'), '--at', '/'], /nothing can be attached at \//],
  ] as const) {
    const { code, stderr } = await up(...args);
    assert.equal(code, 2, stderr);
    assert.match(stderr, says);
  }
});

test('cp makes the directory that it copies into', async () => {
  const target = join(node.directory, 'copies', 'deep');
  assert.equal((await node.run('cp', '-R', '/source', target)).code, 0);
  for (const path of node.paths) assert.deepEqual(await readFile(join(target, path)), node.bytesOf(path));
});

test('npx finds the command in the clone', async () => {
  const repository = fileURLToPath(new URL('../../..', import.meta.url));
  const { stdout } = await promisify(execFile)('npx', ['--no-install', 'millpool', '--version'], { cwd: repository });
  assert.match(stdout, /^\d+\.\d+\.\d+\n$/);
});

async function fetchedBytes(): Promise<number> {
  const { cache } = JSON.parse((await node.run('status', '--json')).stdout) as Status;
  return cache.sourceBytes;
}

test('files that were written a moment ago are loaded too, when they are old enough', async () => {
  const bytes = 5000;
  // On a slow machine they may be old enough before they are asked for: then it is tried with others.
  for (let attempt = 0; attempt < 5; attempt += 1) {
    const name = `fresh-${attempt}`;
    const folder = join(node.directory, name);
    await mkdir(folder);
    await writeFile(join(folder, 'first'), Buffer.alloc(bytes, 255));
    await json('attach', folder);
    const fetchedBefore = await fetchedBytes();
    await Promise.all(Array.from({ length: 20 }, (_, i) => writeFile(join(folder, `${i}`), Buffer.alloc(bytes, i))));
    const [loaded] = await json('load', `/${name}`, '--wait');
    assert.deepEqual([loaded?.['state'], loaded?.['filesDone']], ['done', 21]);
    const fetched = (await fetchedBytes()) - fetchedBefore;
    await json('detach', `/${name}`);
    if (fetched > 21 * bytes) return;
  }
  assert.fail('some were too young at first');
});
