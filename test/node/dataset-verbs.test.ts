import assert from 'node:assert/strict';
import { mkdir, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { errorOf, errorsOf, objectsOf } from '../harness/command-output.ts';
import { FolderNode } from '../harness/folder-node.ts';

interface Made {
  readonly version: string;
  readonly path: string;
  readonly files: number;
  readonly sizeBytes: number;
  readonly madeAt: string;
}

interface Change {
  readonly change: string;
  readonly path: string;
  readonly beforeBytes: number | null;
  readonly afterBytes: number | null;
}

let node: FolderNode;
let first: Made;
let second: Made;

/** Of what the folder holds now: `strict` sees every change. */
async function snapshot(...args: readonly string[]): Promise<Made> {
  const [made] = objectsOf<Made>(await node.run('dataset', 'snapshot', ...args, '--json'));
  assert.ok(made !== undefined);
  return made;
}

before(async () => {
  node = await FolderNode.start('dataset-verbs', { files: 150, seed: 9, bytesMin: 1, bytesMax: 900 });
  objectsOf(await node.run('attach', node.source, '--at', '/live', '--freshness', 'strict', '--json'));
  first = await snapshot('/live');
  await writeFile(join(node.source, 'part-000', 'file-000003.bin'), 'changed');
  await writeFile(join(node.source, 'part-000', 'file-0000030.bin'), 'added');
  await rm(join(node.source, 'part-001', 'file-000149.bin'));
  second = await snapshot('/live');
});
after(() => node.stop());

test('a snapshot has every file of the path, and the same content the same version', async () => {
  const sizeBytes = node.paths.reduce((sum, path) => sum + node.bytesOf(path).length, 0);
  assert.deepEqual([first.path, first.files, first.sizeBytes], ['/live', 150, sizeBytes]);
  assert.notEqual(second.version, first.version);
  assert.equal((await snapshot('/live')).version, second.version);
  const part = await snapshot('/live', '--include', 'part-001/*');
  assert.equal(part.files, 49);
  const plain = await node.run('dataset', 'snapshot', '/live');
  assert.equal(plain.stdout.split('\n')[0], second.version);
});

test('a glob is of the whole path below, name by name, as shells have it', async () => {
  const names = [
    'a.png',
    'b.txt',
    '.hidden.png',
    'sub/c.png',
    'sub/.dot/d.png',
    'sub/deep/er/e.png',
    'Ü b/50%.png',
    '[x].png',
  ];
  const folder = join(node.directory, 'globs');
  for (const name of names) {
    await mkdir(join(folder, name, '..'), { recursive: true });
    await writeFile(join(folder, name), 'x');
  }
  objectsOf(await node.run('attach', folder, '--json'));
  const cases: readonly [string, readonly string[]][] = [
    ['*', ['.hidden.png', '[x].png', 'a.png', 'b.txt']],
    ['*.png', ['.hidden.png', '[x].png', 'a.png']],
    ['**', names],
    ['**/*.png', names.filter((name) => name.endsWith('.png'))],
    ['sub/**', ['sub/.dot/d.png', 'sub/c.png', 'sub/deep/er/e.png']],
    ['*/*', ['sub/c.png', 'Ü b/50%.png']],
    ['sub/*/*/e.png', ['sub/deep/er/e.png']],
    ['[ab].*', ['a.png', 'b.txt']],
    ['?.png', ['a.png']],
    ['{a.png,sub/c.png}', ['a.png', 'sub/c.png']],
    ['!(*.png)', ['b.txt']],
    ['\\[x\\].png', ['[x].png']],
    ['Ü b/*', ['Ü b/50%.png']],
    ['A.PNG', []],
    ['sub', []],
    ['/a.png', []],
  ];
  const empty = await snapshot('/globs', '--include', 'none');
  for (const [glob, wanted] of cases) {
    const made = await snapshot('/globs', '--include', glob);
    const inIt = objectsOf<Change>(await node.run('dataset', 'diff', empty.version, made.version, '--json'));
    assert.deepEqual(inIt.map(({ path }) => path).toSorted(), wanted.toSorted(), glob);
    assert.equal(made.files, wanted.length, glob);
  }
});

test('ls has each version once, with its path, files, bytes and time', async () => {
  const listed = objectsOf<Made>(await node.run('dataset', 'ls', '--json'));
  assert.equal(new Set(listed.map(({ version }) => version)).size, listed.length);
  for (const { version, files, sizeBytes } of [first, second]) {
    const found = listed.find((row) => row.version === version);
    assert.deepEqual([found?.path, found?.files, found?.sizeBytes], ['/live', files, sizeBytes]);
    assert.ok(Number.isFinite(Date.parse(found?.madeAt ?? '')));
  }
  assert.match((await node.run('dataset', 'ls')).stdout, new RegExp(`^${first.version.slice(0, 16)} +/live +150`, 'm'));
});

test('diff has what was added, removed and changed, in path order, both ways', async () => {
  const was = node.bytesOf('/source/part-000/file-000003.bin').length;
  const gone = node.bytesOf('/source/part-001/file-000149.bin').length;
  const there = objectsOf<Change>(await node.run('dataset', 'diff', first.version, second.version, '--json'));
  assert.deepEqual(there, [
    { change: 'changed', path: 'part-000/file-000003.bin', beforeBytes: was, afterBytes: 7 },
    { change: 'added', path: 'part-000/file-0000030.bin', beforeBytes: null, afterBytes: 5 },
    { change: 'removed', path: 'part-001/file-000149.bin', beforeBytes: gone, afterBytes: null },
  ]);
  const back = await node.run('dataset', 'diff', second.version.slice(0, 12), first.version.slice(0, 12));
  assert.equal(back.stdout, '~ part-000/file-000003.bin\n- part-000/file-0000030.bin\n+ part-001/file-000149.bin\n');
  const none = await node.run('dataset', 'diff', first.version, first.version);
  assert.deepEqual([none.code, none.stdout], [0, '']);
});

test('an unknown version is exit 4, one that cannot be a version exit 2', async () => {
  const unknown = '0'.repeat(64);
  const cases: readonly [readonly string[], number, string][] = [
    [['diff', unknown, first.version], 4, 'not-found'],
    [['diff', first.version, '00000000'], 4, 'not-found'],
    [['free', unknown], 4, 'not-found'],
    [['diff', 'HEAD', first.version], 2, 'invalid'],
    [['snapshot', '/absent'], 4, 'not-found'],
    [['snapshot', '/'], 2, 'invalid'],
    [['snapshot', '/live/part-000/file-000001.bin'], 2, 'invalid'],
    [['snapshot', 'live'], 2, 'invalid'],
    [['snapshot', '/live', '--include', ''], 2, 'invalid'],
    [['snapshot'], 2, 'invalid'],
    [['no-such-verb'], 2, 'invalid'],
  ];
  for (const [args, code, name] of cases) {
    const result = await node.run('dataset', ...args, '--json');
    assert.deepEqual([result.code, errorOf(result).code], [code, name], args.join(' '));
  }
});

test('a version that was freed is gone; one whose file was cut is named, and the others are listed', async () => {
  const part = await snapshot('/live', '--include', '*/*1.bin');
  objectsOf(await node.run('dataset', 'free', part.version, '--json'));
  assert.equal((await node.run('dataset', 'free', part.version)).code, 4);
  const cut = await snapshot('/live', '--include', '*/*2.bin');
  await truncate(join(node.directory, 'state', 'datasets', `${cut.version}.dataset`), 5_000);
  const listed = await node.run('dataset', 'ls', '--json');
  assert.equal(listed.code, 3);
  assert.deepEqual(
    errorsOf(listed).map(({ code, path }) => [code, path?.includes(cut.version)]),
    [['corrupt', true]],
  );
  const versions = listed.stdout
    .trimEnd()
    .split('\n')
    .map((line) => (JSON.parse(line) as Made).version);
  assert.ok(versions.includes(first.version) && !versions.includes(part.version));
});
