import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { after, before, test } from 'node:test';

import { objectsOf } from '../harness/command-output.ts';
import { FolderNode } from '../harness/folder-node.ts';

interface Ceiling {
  readonly stage: string;
  readonly what: string;
  readonly bytesPerSecond: number | null;
  readonly perSecond: number | null;
  readonly note: string;
}

const files = 300;
let node: FolderNode;

before(async () => {
  node = await FolderNode.start('ceilings', { files, seed: 9, bytesMin: 1_000, bytesMax: 20_000 });
});
after(() => node.stop());

/** By stage, in the order in which they came. */
async function bench(...args: readonly string[]): Promise<Map<string, readonly Ceiling[]>> {
  const ceilings = objectsOf<Ceiling>(await node.run('bench', ...args, '--json'));
  for (const { what, bytesPerSecond, note } of ceilings) {
    assert.ok(bytesPerSecond === null ? note !== '' : bytesPerSecond > 0, `${what}: ${bytesPerSecond} ${note}`);
  }
  const stages = new Map<string, Ceiling[]>();
  for (const ceiling of ceilings) stages.set(ceiling.stage, [...(stages.get(ceiling.stage) ?? []), ceiling]);
  return stages;
}

test('each stage is measured alone, and what it took is gone', async () => {
  const there = await readdir(node.node.dataDirectory);
  const stages = await bench(node.root);
  assert.deepEqual([...stages.keys()], ['memory', 'device', 'source', 'loader']);
  assert.ok((stages.get('memory')?.[0]?.bytesPerSecond ?? 0) > 0);
  const [write, read] = stages.get('device') ?? [];
  assert.ok(write?.what.includes(node.node.dataDirectory), write?.what);
  assert.equal(write?.bytesPerSecond === null, read?.bytesPerSecond === null);
  assert.deepEqual(await readdir(node.node.dataDirectory), there);
  const [source] = stages.get('source') ?? [];
  assert.equal(source?.note, `${files} files`);
  assert.match(stages.get('loader')?.[0]?.note ?? '', /needed no GET; waits most for \w+$/);
});

test('a source whose files are all cached is not measured, and it says so', async () => {
  assert.equal((await node.run('load', node.root, '--wait')).code, 0);
  const [source] = (await bench(node.root)).get('source') ?? [];
  assert.deepEqual([source?.bytesPerSecond, source?.note], [null, 'all files that were looked at are cached']);
});

test('without a path it asks for nothing of the namespace', async () => {
  assert.deepEqual([...(await bench()).keys()], ['memory', 'device']);
});
