import assert from 'node:assert/strict';
import { mkdir, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { errorOf, objectsOf } from '../harness/command-output.ts';
import { FolderNode } from '../harness/folder-node.ts';

interface Found {
  readonly path: string;
  readonly type: string;
  readonly sizeBytes: number;
}

interface Du extends Found {
  readonly files: number;
  readonly cachedBytes?: number;
}

const since = '2030-01-01T00:00:00Z';
let node: FolderNode;

before(async () => {
  node = await FolderNode.start('find-du', { files: 210, seed: 11, bytesMin: 1, bytesMax: 9_000 });
  const deep = join(node.directory, 'other', 'x', 'x.png', 'deep');
  await mkdir(deep, { recursive: true });
  for (const name of ['a.png', '.b.png', 'c\nd.txt']) await writeFile(join(deep, name), 'x'.repeat(4096));
  await utimes(join(deep, 'a.png'), new Date('2030-06-01'), new Date('2030-06-01'));
  await writeFile(join(node.directory, 'other', 'x', 'x-1.png'), '');
  objectsOf(await node.run('attach', join(node.directory, 'other'), '--at', '/deep/other', '--json'));
});
after(() => node.stop());

async function find(...args: readonly string[]): Promise<string[]> {
  return objectsOf<Found>(await node.run('find', ...args, '--json')).map(({ path }) => path);
}

async function du(...args: readonly string[]): Promise<Du[]> {
  return objectsOf<Du>(await node.run('du', ...args, '--json'));
}

test('find without a condition gives every file and the directories that they lie in', async () => {
  const root = '/deep/other';
  const deep = `${root}/x/x.png/deep`;
  assert.deepEqual(await find(root), [
    root,
    `${root}/x`,
    `${root}/x/x-1.png`,
    `${root}/x/x.png`,
    deep,
    `${deep}/.b.png`,
    `${deep}/a.png`,
    `${deep}/c\nd.txt`,
  ]);
  assert.deepEqual(await find('/source', '--type', 'f'), node.paths);
  assert.deepEqual(await find('/source', '--type', 'd'), [
    '/source',
    '/source/part-000',
    '/source/part-001',
    '/source/part-002',
  ]);
  assert.deepEqual(await find(node.paths[4] ?? ''), [node.paths[4]]);
  assert.equal((await node.run('find', deep, '--name', '*.txt')).stdout, `${deep}/c\\nd.txt\n`);
});

test('find by name, by path, by type, by size and by time', async () => {
  const deep = '/deep/other/x/x.png/deep';
  assert.deepEqual(await find('/deep', '--name', '*.png', '--type', 'f'), [
    '/deep/other/x/x-1.png',
    `${deep}/.b.png`,
    `${deep}/a.png`,
  ]);
  assert.deepEqual(await find('/deep/other', '--name', '*/x.png/**', '--newer', since), [`${deep}/a.png`]);
  const between = node.paths.filter((path) => {
    const size = node.bytesOf(path).length;
    return size > 4096 && size < 6000;
  });
  assert.ok(between.length > 0);
  assert.deepEqual(await find('/source', '--size', '+4KiB', '--size', '-6000'), between);
  assert.deepEqual(await find('/deep', '--size', '0'), ['/deep/other/x/x-1.png']);
});

test('du has bytes and files of every directory, and what is cached of them', async () => {
  const bytesBelow = (prefix: string): number =>
    node.paths.reduce((sum, path) => sum + (path.startsWith(`${prefix}/`) ? node.bytesOf(path).length : 0), 0);
  const parts = [100, 100, 10].map((files, i) => {
    const path = `/source/part-00${i}`;
    return { path, sizeBytes: bytesBelow(path), files };
  });
  const whole = { path: '/source', sizeBytes: bytesBelow('/source'), files: 210 };
  assert.deepEqual(await du('/source'), [...parts, whole]);
  assert.deepEqual(await du('-s', '/source', '/deep'), [whole, { path: '/deep', sizeBytes: 3 * 4096, files: 4 }]);
  assert.deepEqual(
    (await du('-d', '2', '/deep')).map(({ path, files }) => [path, files]),
    [
      ['/deep/other/x', 4],
      ['/deep/other', 4],
      ['/deep', 4],
    ],
  );
  objectsOf(await node.run('load', '/source/part-002', '--wait', '--json'));
  const cachedBytes = bytesBelow('/source/part-002');
  assert.deepEqual(
    (await du('--cached', '/source')).map((row) => row.cachedBytes),
    [0, 0, cachedBytes, cachedBytes],
  );
  const [one] = await du(node.paths[0] ?? '');
  assert.deepEqual(one, { path: node.paths[0], sizeBytes: node.bytesOf(node.paths[0] ?? '').length, files: 1 });
  assert.match((await node.run('du', '-s', '/source')).stdout, /^ *\S+iB +210 {2}\/source\n$/);
});

test('an absent path is exit 4, wrong usage exit 2, some of several paths exit 3', async () => {
  const cases: readonly [readonly string[], number][] = [
    [['find', '/absent'], 4],
    [['find', '/source', '--size', 'big'], 2],
    [['find', '/source', '--newer', 'yesterday'], 2],
    [['find', '/source', '--type', 'x'], 2],
    [['find', 'relative'], 2],
    [['du', '/absent'], 4],
    [['du', '-d', '-1', '/source'], 2],
  ];
  for (const [args, code] of cases) {
    const result = await node.run(...args, '--json');
    errorOf(result);
    assert.equal(result.code, code, args.join(' '));
  }
  const some = await node.run('du', '-s', '/source', '/absent', '--json');
  assert.equal(some.code, 3);
  assert.equal((JSON.parse(some.stdout) as Du).files, 210);
});
