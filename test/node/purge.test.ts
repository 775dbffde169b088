import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { chmod, chown, mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import type { ErrorShape } from '@millpool/protocol';

import { errorOf, errorsOf, linesOf, objectsOf } from '../harness/command-output.ts';
import { MillpoolNode, runMillpool } from '../harness/millpool-process.ts';
import type { CommandResult, NodeOptions, User } from '../harness/millpool-process.ts';
import { seededBytes } from '../harness/seeded-random.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';
import type { TemporaryFolder } from '../harness/temporary-folder.ts';
import { noTerminal, Terminal } from '../harness/terminal.ts';

const files = 12;
const bytesOf = (i: number): Buffer => seededBytes(i, 5000 + i);
let folder: TemporaryFolder;
let source: string;

before(async () => {
  folder = await temporaryFolder('purge');
  await chmod(folder.path, 0o755);
  source = join(folder.path, 'source');
  await mkdir(source);
  for (let i = 0; i < files; i += 1) await writeFile(join(source, `file-${i}`), bytesOf(i));
  await sleep(2100);
});
after(() => folder.remove());

/** The places of one daemon: all below `directory`, which it has for itself. */
class Places {
  readonly directory: string;

  constructor(name: string) {
    this.directory = join(folder.path, name);
  }

  get data(): string {
    return join(this.directory, 'data');
  }

  get state(): string {
    return join(this.directory, 'state');
  }

  get socket(): string {
    return join(this.directory, 'millpool.sock');
  }

  /** A daemon that has all of the source, a dataset version, and a pin. */
  async filled(options: Omit<NodeOptions, 'directory'> = {}): Promise<MillpoolNode> {
    await mkdir(this.directory, { recursive: true });
    const node = await MillpoolNode.start({ directory: this.directory, sources: [source], ...options });
    objectsOf(await node.run('load', '/source', '--wait', '--json'));
    objectsOf(await node.run('dataset', 'snapshot', '/source', '--json'));
    objectsOf(await node.run('pin', '/source/file-1', '--json'));
    return node;
  }

  purge(args: readonly string[], user?: User): Promise<CommandResult> {
    const env = { ...process.env, MILLPOOL_SOCKET: this.socket, MILLPOOL_STATE_DIRECTORY: this.state };
    return runMillpool(['purge', '--data', this.data, '--json', ...args], env, user);
  }
}

interface Line {
  readonly path?: string;
  readonly bytes: number;
  readonly paths?: number;
  readonly isRemoved?: boolean;
  readonly staying?: readonly string[];
}

/** A line a path, and the summary, held to each other. */
function listed({ stdout }: CommandResult): { readonly paths: readonly string[]; readonly sum: Line } {
  const lines = linesOf(stdout).map((line) => JSON.parse(line) as Line);
  const sum = lines.at(-1);
  assert.ok(sum !== undefined);
  const each = lines.slice(0, -1);
  assert.equal(sum.paths, each.length);
  assert.equal(
    each.reduce((total, { bytes }) => total + bytes, 0),
    sum.bytes,
  );
  return { paths: each.map(({ path = '' }) => path), sum };
}

async function sourceIsWhole(): Promise<void> {
  assert.equal((await readdir(source)).length, files);
  for (let i = 0; i < files; i += 1) assert.deepEqual(await readFile(join(source, `file-${i}`)), bytesOf(i));
}

async function everything(directory: string): Promise<string[]> {
  const names = await readdir(directory, { recursive: true });
  return names.map((name) => join(directory, name)).toSorted();
}

function failed(result: CommandResult, exit: number, code: ErrorShape['code']): ErrorShape {
  const error = errorOf(result);
  assert.deepEqual([result.code, error.code], [exit, code], error.message);
  return error;
}

test('after up, load and down: listed first, and with --yes all is gone but the source', async () => {
  const places = new Places('whole');
  await (await places.filled()).stop();
  const there = await everything(places.directory);

  const dry = await places.purge(['--dry-run', '--yes']);
  assert.equal(dry.code, 0, dry.stderr);
  const { paths, sum } = listed(dry);
  assert.deepEqual(paths.toSorted(), [places.directory, ...there]);
  assert.deepEqual([sum.isRemoved, sum.staying], [false, []]);
  assert.ok(sum.bytes > files * 5000, `${sum.bytes}`);

  const nobodyToAsk = await places.purge([]);
  assert.match(failed(nobodyToAsk, 2, 'invalid').remedy, /--yes/);
  assert.deepEqual(listed(nobodyToAsk).paths, paths);
  assert.deepEqual(await everything(places.directory), there);

  const purged = await places.purge(['--yes']);
  assert.equal(purged.code, 0, purged.stderr);
  assert.deepEqual(listed(purged).paths, paths);
  assert.equal(listed(purged).sum.isRemoved, true);
  assert.ok(!existsSync(places.directory));
  await sourceIsWhole();

  const again = await places.purge(['--yes']);
  assert.deepEqual([again.code, listed(again).paths], [0, []]);
});

test('asked on a terminal, anything but yes removes nothing, nor does Ctrl-C; yes removes all', async (t) => {
  const why = noTerminal();
  if (why !== null) return t.skip(why);
  const places = new Places('asked');
  await (await places.filled()).stop();
  const there = await everything(places.directory);
  const ask = async (answer: string): Promise<{ readonly code: number | null; readonly text: string }> => {
    const env = { MILLPOOL_SOCKET: places.socket, MILLPOOL_STATE_DIRECTORY: places.state };
    const terminal = Terminal.run(['purge', '--data', places.data], { rows: 40, columns: 100 }, env);
    await terminal.shows(/Remove \d+ files and \d+ directories, .*\? \[y\/N\] /);
    terminal.type(answer);
    return { code: await terminal.ended(), text: terminal.text };
  };
  for (const no of ['no\r', '\r', 'yesterday\r', '\u0003', '\u0004']) {
    const { code, text } = await ask(no);
    assert.equal(code, 130, JSON.stringify(no));
    assert.match(text, /millpool: Nothing was removed\./, JSON.stringify(no));
    assert.deepEqual(await everything(places.directory), there);
  }
  const yes = await ask('y\r');
  assert.deepEqual([yes.code, existsSync(places.directory)], [0, false], yes.text);
  assert.match(yes.text, /Removed \d+ files/);
});

test('what others put there stays, is listed, and keeps its directory; symlinks are not followed', async () => {
  const places = new Places('shared');
  await (await places.filled()).stop();
  const target = join(folder.path, 'target');
  await mkdir(target);
  const outside = join(target, `${'0'.repeat(32)}.seg`);
  await writeFile(outside, 'outside');
  await rm(join(places.state, 'loads'), { recursive: true });
  const foreign = [
    join(places.data, 'notes'),
    join(places.data, 'segments', 'readme.seg'),
    join(places.state, 'datasets', 'mine.dataset'),
    join(places.state, 'coordination', 'backup'),
  ];
  for (const path of foreign) await writeFile(path, 'foreign');
  const links = [join(places.data, 'aside'), join(places.state, 'loads'), join(places.data, 'segments', 'link')];
  for (const path of links) await symlink(target, path);
  const linkedFile = join(places.data, 'segments', `${'1'.repeat(32)}.seg`);
  await symlink(outside, linkedFile);

  const staying = [...foreign, ...links, linkedFile].toSorted();
  const purged = await places.purge(['--yes']);
  assert.equal(purged.code, 0, purged.stderr);
  assert.deepEqual(listed(purged).sum.staying, staying);
  const seen = await everything(places.directory);
  const left = seen.filter((path) => !links.some((link) => path.startsWith(`${link}/`)));
  const directories = [places.data, places.state, ...['datasets', 'coordination'].map((it) => join(places.state, it))];
  assert.deepEqual(left, [...staying, ...directories, join(places.data, 'segments')].toSorted());
  for (const path of foreign) assert.equal(await readFile(path, 'utf8'), 'foreign');
  assert.equal(await readFile(outside, 'utf8'), 'outside');
});

test('a daemon that runs keeps all, also when it is asked by another socket', async (t) => {
  const places = new Places('running');
  const node = await places.filled();
  t.after(() => node.stop());
  const there = await everything(places.directory);
  const elsewhere = join(folder.path, 'elsewhere.sock');
  for (const args of [['--yes'], ['--dry-run'], ['--yes', '--socket', elsewhere]]) {
    const error = failed(await places.purge(args), 1, 'exists');
    assert.match(error.message, new RegExp(`${node.pid}`));
    assert.match(error.remedy, /millpool down/);
  }
  // The socket alone tells of it too.
  const bySocket = failed(await places.purge(['--yes', '--data', join(folder.path, 'absent')]), 1, 'exists');
  assert.match(bySocket.remedy, /millpool down/);
  assert.deepEqual(await everything(places.directory), there);
  assert.equal((await node.run('cat', '/source/file-3')).stdout, bytesOf(3).toString());
});

test('what kill -9 leaves goes too, sockets and all, and a daemon starts there anew', async () => {
  const places = new Places('killed');
  await (await places.filled()).stop('SIGKILL');
  for (const path of [places.socket, `${places.socket}.control`]) assert.ok(existsSync(path), path);
  const halfMade = join(places.state, 'datasets', '17-1.making');
  await writeFile(halfMade, 'half');
  const purged = await places.purge(['--yes']);
  assert.equal(purged.code, 0, purged.stderr);
  assert.ok(listed(purged).paths.includes(halfMade));
  assert.ok(!existsSync(places.directory));
  const node = await places.filled();
  objectsOf(await node.run('down', '--json'));
  await node.stop();
  assert.equal((await places.purge(['--yes'])).code, 0);
  assert.ok(!existsSync(places.directory));
});

test('several data directories and the log of a detached daemon', async () => {
  const places = new Places('detached');
  const second = join(places.directory, 'second');
  const env = { ...process.env, MILLPOOL_SOCKET: places.socket };
  const data = ['--data', places.data, '--data', second];
  objectsOf(await runMillpool(['up', source, ...data, '--detach', '--json'], env));
  objectsOf(await runMillpool(['down', '--json'], env));
  const purged = await runMillpool(['purge', ...data, '--yes', '--json'], env);
  assert.equal(purged.code, 0, purged.stderr);
  const { paths } = listed(purged);
  for (const path of [second, `${places.socket}.log`, join(places.data, 'state')])
    assert.ok(paths.includes(path), path);
  assert.ok(!existsSync(places.directory));
});

test('a directory that is none of ours, or lies with a source in each other, is refused and stays', async () => {
  const places = new Places('foreign');
  await mkdir(join(places.data, 'segments'), { recursive: true });
  await writeFile(join(places.data, 'segments', `${'0'.repeat(32)}.seg`), 'theirs');
  await writeFile(join(places.data, 'lock'), 'of another program\n');
  assert.match(failed(await places.purge(['--yes']), 2, 'invalid').message, /no data directory of Millpool/);
  assert.deepEqual((await everything(places.data)).length, 3);

  const nested = new Places('nested');
  const inside = join(nested.data, 'photos');
  await mkdir(inside, { recursive: true });
  await writeFile(join(inside, 'a.png'), 'a');
  const node = await nested.filled();
  objectsOf(await node.run('attach', inside, '--json'));
  await node.stop();
  const there = await everything(nested.directory);
  const error = failed(await nested.purge(['--yes']), 6, 'refused');
  assert.ok(error.message.includes(inside), error.message);
  assert.deepEqual(await everything(nested.directory), there);
});

test('what cannot be removed is listed with exit code 3, and goes when it is asked again', async (t) => {
  // Permission bits hold for any user but root.
  const user = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : null;
  const home = { ...process.env, HOME: folder.path };
  if (user !== null && (await runMillpool(['config'], home, user)).code !== 0) {
    return t.skip('another user cannot run the program where it lies');
  }
  process.env['HOME'] = folder.path;
  const places = new Places('closed');
  await mkdir(places.directory);
  if (user !== null) await chown(places.directory, user.uid, user.gid);
  await (await places.filled(user === null ? {} : { user })).stop();
  const segments = join(places.data, 'segments');
  const held = (await readdir(segments)).map((name) => join(segments, name));
  assert.notEqual(held.length, 0);
  await chmod(segments, 0o500);
  const partly = await places.purge(['--yes'], user ?? undefined);
  assert.equal(partly.code, 3, partly.stderr);
  assert.deepEqual(
    errorsOf(partly).map(({ code, path }) => [code, path]),
    held.map((path) => ['refused', path]),
  );
  const left = [places.data, join(places.data, 'lock'), segments, ...held];
  assert.deepEqual(await everything(places.directory), left.toSorted());
  await chmod(segments, 0o700);
  const rest = await places.purge(['--yes'], user ?? undefined);
  assert.equal(rest.code, 0, rest.stderr);
  // Its own directory was not made by that user, who has no right to remove it.
  assert.deepEqual(existsSync(places.directory) ? await everything(places.directory) : [], []);
});
