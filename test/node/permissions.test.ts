import assert from 'node:assert/strict';
import { chmod, chown, mkdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { connect } from '@millpool/client';

import { errorOf, errorsOf, objectsOf } from '../harness/command-output.ts';
import { MillpoolNode, runMillpool } from '../harness/millpool-process.ts';
import type { CommandResult } from '../harness/millpool-process.ts';
import { seededBytes } from '../harness/seeded-random.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';
import type { TemporaryFolder } from '../harness/temporary-folder.ts';

/** `nobody`: permission bits hold for it, which they do not for root. */
const nobody = { uid: 65_534, gid: 65_534 };
const files = 12;
const skip = await whyNot();

async function whyNot(): Promise<string | false> {
  if (process.getuid?.() !== 0) return 'only root can run a process as another user';
  const { code } = await runMillpool(['config'], { ...process.env, HOME: '/' }, nobody);
  return code === 0 ? false : 'another user cannot run the program where it lies';
}

describe('permissions', { skip }, () => {
  let folder: TemporaryFolder;
  let source: string;

  before(async () => {
    folder = await temporaryFolder('permissions');
    await chmod(folder.path, 0o755);
    // Root's home, with a configuration perhaps, is closed to others.
    process.env['HOME'] = folder.path;
    source = join(folder.path, 'source');
    await mkdir(join(source, 'closed'), { recursive: true });
    for (let i = 0; i < files; i += 1) await writeFile(join(source, `file-${i}`), seededBytes(i, 5000 + i));
    await writeFile(join(source, 'closed', 'inside'), 'inside');
    await sleep(2100);
  });
  after(() => folder.remove());

  /** A directory of that user. */
  async function ownDirectory(name: string): Promise<string> {
    const path = join(folder.path, name);
    await mkdir(path);
    await chown(path, nobody.uid, nobody.gid);
    return path;
  }

  /** `up` as nobody, in places of its own but for those that are given. */
  async function up(
    name: string,
    places: { readonly data?: string; readonly state?: string; readonly socket?: string },
  ) {
    const own = await ownDirectory(name);
    const env = {
      ...process.env,
      MILLPOOL_SOCKET: places.socket ?? join(own, 'millpool.sock'),
      MILLPOOL_STATE_DIRECTORY: places.state ?? join(own, 'state'),
    };
    return runMillpool(['up', source, '--data', places.data ?? join(own, 'data'), '--json'], env, nobody);
  }

  function refusedAt(result: CommandResult, path: string): void {
    const error = errorOf(result);
    assert.deepEqual([result.code, error.code], [6, 'refused'], error.message);
    assert.ok(error.message.includes(path), error.message);
  }

  test('a configuration that may not be read: an error that names it', async () => {
    const home = join(folder.path, 'home');
    await mkdir(join(home, '.config', 'millpool'), { recursive: true, mode: 0o700 });
    const config = await runMillpool(['config', '--json'], { ...process.env, HOME: home }, nobody);
    refusedAt(config, join(home, '.config/millpool/config.json'));
  });

  test('a directory for data, state or socket that may not be written to: one error that names it', async () => {
    const foreign = join(folder.path, 'foreign');
    await mkdir(foreign, { mode: 0o755 });
    assert.equal((await stat(foreign)).uid, 0);
    for (const path of [foreign, join(foreign, 'below')]) {
      refusedAt(await up(`data-${path.length}`, { data: path }), path);
      refusedAt(await up(`state-${path.length}`, { state: path }), path);
      refusedAt(await up(`socket-${path.length}`, { socket: join(path, 'millpool.sock') }), path);
    }
  });

  test('a socket that may not be used: commands for control and for bytes are refused, with exit code 6', async (t) => {
    const directory = join(folder.path, 'rooted');
    await mkdir(directory, { mode: 0o755 });
    const node = await MillpoolNode.start({ directory, sources: [source] });
    t.after(() => node.stop());
    const env = { ...process.env, MILLPOOL_SOCKET: node.socket };
    for (const args of [['status'], ['cat', '/source/file-1'], ['ls', '/source'], ['down']]) {
      refusedAt(await runMillpool([...args, '--json'], env, nobody), node.socket);
    }
    objectsOf(await node.run('status', '--json'));
  });

  test("a file that may not be read is its own sample's error, and all others are served", async (t) => {
    const directory = await ownDirectory('reader');
    const closed = join(source, 'file-3');
    await chmod(closed, 0o600);
    await chmod(join(source, 'closed'), 0o755);
    const node = await MillpoolNode.start({ directory, sources: [source], user: nobody });
    t.after(() => node.stop());
    await using mill = await connect({ socket: node.socket });
    const paths = Array.from({ length: files }, (_, i) => `/source/file-${i}`);
    using batch = await mill.readMany(paths, { onError: 'keep' });
    for (let i = 0; i < files; i += 1) {
      if (i === 3) continue;
      assert.deepEqual(Buffer.from(batch.sample(i)), seededBytes(i, 5000 + i));
    }
    assert.equal(batch.error(3)?.code, 'refused');
    assert.ok(batch.error(3)?.message.includes(closed), batch.error(3)?.message);
    assert.notEqual(batch.error(3)?.remedy, '');
    refusedAt(await node.run('cat', '/source/file-3', '--json'), closed);
    const load = await node.run('load', '/source', '--wait', '--json');
    assert.deepEqual([load.code, errorsOf(load).map(({ path }) => path)], [3, ['/source/file-3']]);
    await chmod(closed, 0o644);
    objectsOf(await node.run('cat', '/source/file-3', '--json', '--quiet').then((cat) => ({ ...cat, stdout: '' })));
  });

  test('a directory that may not be listed is an error by name, never an empty directory', async (t) => {
    const directory = await ownDirectory('lister');
    const closed = join(source, 'closed');
    await chmod(closed, 0o700);
    const node = await MillpoolNode.start({ directory, sources: [source], user: nobody });
    t.after(() => node.stop());
    for (const args of [
      ['ls', '/source/closed'],
      ['ls', '-R', '/source'],
      ['cat', '/source/closed/inside'],
    ]) {
      const result = await node.run(...args, '--json');
      const error = errorsOf(result).at(-1);
      assert.deepEqual([result.code, error?.code], [6, 'refused'], `${args.join(' ')}: ${error?.message}`);
      assert.ok(error?.message.includes(closed), error?.message);
    }
    await chmod(closed, 0o755);
    assert.equal((await node.run('cat', '/source/closed/inside')).stdout, 'inside');
  });

  test('up over a folder that may not be read: one error that names it', async () => {
    await chmod(source, 0o700);
    refusedAt(await up('over', {}), source);
    await chmod(source, 0o755);
  });
});
