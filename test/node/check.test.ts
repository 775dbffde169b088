import assert from 'node:assert/strict';
import { open, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { connect } from '@millpool/client';
import type { Status } from '@millpool/protocol';

import { errorsOf, objectsOf } from '../harness/command-output.ts';
import { FolderNode } from '../harness/folder-node.ts';

const files = 150;
let node: FolderNode;

interface Checked {
  readonly files: number;
  readonly records: number;
  readonly checkedBytes: number;
  readonly damaged: readonly string[];
}

before(async () => {
  node = await FolderNode.start('check', { files, seed: 5, bytesMin: 5_000, bytesMax: 60_000 });
});
after(() => node.stop());

/** One byte in the middle of a file's bytes, wherever its segment has them. */
async function damage(path: string): Promise<void> {
  const directory = join(node.node.dataDirectory, 'segments');
  const bytes = node.bytesOf(path);
  for (const name of await readdir(directory)) {
    const segment = join(directory, name);
    const at = (await readFile(segment)).indexOf(bytes);
    if (at < 0) continue;
    const middle = Math.floor(bytes.length / 2);
    const file = await open(segment, 'r+');
    try {
      await file.write(Buffer.of((bytes[middle] ?? 0) ^ 1), 0, 1, at + middle);
    } finally {
      await file.close();
    }
    return;
  }
  throw new Error(`no segment holds ${path}`);
}

test('check reads all that is cached; what is damaged is named, counted, forgotten, and fetched again', async () => {
  objectsOf(await node.run('load', node.root, '--wait', '--json'));
  const bytes = node.paths.reduce((sum, path) => sum + node.bytesOf(path).length, 0);
  const [whole] = objectsOf<Checked>(await node.run('check', '--json'));
  assert.deepEqual([whole?.files, whole?.records, whole?.checkedBytes, whole?.damaged], [files, files, bytes, []]);

  const victims = [node.paths[7] ?? '', node.paths[140] ?? ''];
  for (const victim of victims) await damage(victim);
  const [, below = ''] = victims;
  const part = below.slice(0, below.lastIndexOf('/'));
  for (const [path, victim] of [
    [part, below],
    ['/', victims[0] ?? ''],
  ] as const) {
    const found = await node.run('check', path, '--json');
    assert.equal(found.code, 3);
    assert.deepEqual(objectsOf<Checked>({ ...found, code: 0 })[0]?.damaged, [victim]);
    assert.deepEqual(
      errorsOf(found).map((error) => [error.code, error.path]),
      [['corrupt', victim]],
    );
  }
  const [status] = objectsOf<Status>(await node.run('status', '--json'));
  assert.equal(status?.cache.damagedRecords, victims.length);
  const stats = objectsOf<{ cachedBytes: number }>(await node.run('stat', ...victims, '--json'));
  assert.deepEqual(
    stats.map(({ cachedBytes }) => cachedBytes),
    [0, 0],
  );
  await using mill = await connect({ socket: node.socket });
  for (const victim of victims) assert.deepEqual(Buffer.from(await mill.read(victim)), node.bytesOf(victim));
  objectsOf(await node.run('load', node.root, '--wait', '--json'));
  assert.equal((await node.run('check')).code, 0);
});
