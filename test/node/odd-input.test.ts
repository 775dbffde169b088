import assert from 'node:assert/strict';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { errorOf, objectsOf } from '../harness/command-output.ts';
import { FolderNode } from '../harness/folder-node.ts';

let node: FolderNode;

before(async () => {
  node = await FolderNode.start('odd', { files: 40, seed: 2, bytesMin: 1, bytesMax: 90 });
  for (const name of ['x', 'y']) {
    await mkdir(join(node.directory, 'other', name), { recursive: true });
    await writeFile(join(node.directory, 'other', name, 'same'), name);
  }
  await writeFile(join(node.directory, 'other', 'red\u001b[31m'), 'red');
  objectsOf(await node.run('attach', join(node.directory, 'other'), '--json'));
});
after(() => node.stop());

test('a path that is none is told as it was written, without the names of messages', async () => {
  for (const verb of [['ls'], ['stat'], ['cat'], ['load'], ['free'], ['pin'], ['why'], ['du'], ['find']]) {
    const result = await node.run(...verb, 'relative');
    assert.equal(result.code, 2, verb.join(' '));
    assert.match(result.stderr, /^millpool: the path "relative" is not absolute\n {2}Write it from the root/, verb[0]);
  }
  const top = await node.run('attach', join(node.directory, 'other', 'x'), '--at', '/');
  assert.deepEqual([top.code, top.stderr.split('\n')[0]], [2, 'millpool: nothing can be attached at /']);
});

test('no name that somebody gave writes to the terminal', async () => {
  const results = [
    await node.run('ls', '-R', '/other'),
    await node.run('find', '/other'),
    await node.run('stat', '/other/red\u001b[31m', '/other/absent\u001b[31m\n'),
    await node.run('cat', '/other/absent\u001b[2J'),
    await node.run('why', '/other/red\u001b[31m'),
    await node.run('load', '/other/red\u001b[31m', '--wait'),
    await node.run('jobs'),
  ];
  for (const { stdout, stderr } of results) assert.ok(!`${stdout}${stderr}`.includes('\u001b'), stdout + stderr);
  assert.match(results[0]?.stdout ?? '', /red\\x1b\[31m/);
});

test('cp: targets that cannot be are errors at once, two sources of one name too, and all else is quiet', async () => {
  for (const target of ['/proc/nope', '/proc/nope/deeper', '/dev/null/x']) {
    const result = await node.run('cp', node.paths[0] ?? '', target, '--json');
    assert.ok(result.code === 1 || result.code === 2, `${target}: ${result.code}`);
    assert.ok(errorOf(result).message.includes(target));
  }
  const target = join(node.directory, 'copied', 'here');
  const twice = await node.run('cp', '/other/x/same', '/other/y/same', target, '--json');
  assert.deepEqual([twice.code, errorOf(twice).code], [2, 'invalid']);
  const all = await node.run('cp', '-R', node.root, '/other/x', target);
  assert.deepEqual([all.code, all.stderr], [0, '']);
  assert.deepEqual((await readdir(target)).toSorted(), ['source', 'x']);
});
