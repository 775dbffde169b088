import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { MillpoolNode } from '../harness/millpool-process.ts';

const modeOf = async (path: string): Promise<number> => (await stat(path)).mode & 0o777;

const patienceMs = 30_000;

/** What others can read below a folder that they can look into. */
async function readableByOthers(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  const found = entries.map(async (entry) => {
    const path = join(folder, entry.name);
    if (((await modeOf(path)) & 0o077) === 0) return [];
    return entry.isDirectory() ? readableByOthers(path) : [path];
  });
  return (await Promise.all(found)).flat();
}

test('nothing of a source can be read beside the socket', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'millpool-privacy-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  const source = join(directory, 'source');
  await mkdir(source);
  await writeFile(join(source, 'secret'), 'for some alone');
  // Made before, and open to all, as a mount point is.
  const data = join(directory, 'data');
  await mkdir(data);
  await chmod(data, 0o755);
  const node = await MillpoolNode.start({ directory, sources: [source] });
  t.after(() => node.stop());
  // A file that was just written is not kept: the load is whole once it is old enough.
  const deadlineMs = Date.now() + patienceMs;
  while ((await node.run('load', '/source', '--wait')).code !== 0) assert.ok(Date.now() < deadlineMs);
  assert.ok((await readdir(join(data, 'segments'))).length > 0);
  assert.deepEqual(await readableByOthers(data), [join(data, 'lock')]);

  const fresh = await MillpoolNode.start({ directory: join(directory, 'other'), sources: [source] });
  t.after(() => fresh.stop());
  assert.equal(await modeOf(join(directory, 'other', 'data')), 0o700);
});
