import assert from 'node:assert/strict';
import { mkdir, mkdtemp, open, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { connect } from '@millpool/client';
import type { Mill } from '@millpool/client';

import { MillpoolNode } from '../harness/millpool-process.ts';
import { seededBytes } from '../harness/seeded-random.ts';

const pieceBytes = 4 * 1024 * 1024;
const hugeBytes = 6 * 1024 ** 3;
const markAt = 5 * 1024 ** 3 + 12_345;

/** File sizes around every boundary of a record. */
const sizes = [0, 1, 63, 64, 65, 2047, 2048, 4095, 4096, 4097, pieceBytes - 1, pieceBytes, pieceBytes + 1, 9 << 20];

/** Names as bytes, and how the namespace shows them. */
const names: readonly (readonly [Buffer, string])[] = [
  [Buffer.from('with space'), 'with space'],
  [Buffer.from('50%'), '50%'],
  [Buffer.from('%41'), '%41'],
  [Buffer.from('%2Fslash'), '%252Fslash'],
  [Buffer.from('new\nline'), 'new\nline'],
  [Buffer.from('…ünï'), '…ünï'],
  [Buffer.from([0x6c, 0xff, 0xfe]), 'l%FF%FE'],
  [Buffer.from('..hidden'), '..hidden'],
  [Buffer.from('quote\'"$(x)'), 'quote\'"$(x)'],
];

let directory: string;
let node: MillpoolNode;
let mill: Mill;

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'millpool-shapes-'));
  const source = join(directory, 'source');
  await mkdir(join(source, 'names'), { recursive: true });
  for (const [i, size] of sizes.entries()) await writeFile(join(source, `size-${size}`), seededBytes(i, size));
  for (const [bytes, shown] of names) {
    await writeFile(Buffer.concat([Buffer.from(join(source, 'names/')), bytes]), shown);
  }
  await writeFile(join(source, 'huge'), '');
  await truncate(join(source, 'huge'), hugeBytes);
  const huge = await open(join(source, 'huge'), 'r+');
  await huge.write('the mark', markAt);
  await huge.close();
  await sleep(2100);
  node = await MillpoolNode.start({ directory, sources: [source] });
  mill = await connect({ socket: node.socket });
});

after(async () => {
  await mill.close();
  await node.stop();
  await rm(directory, { recursive: true, force: true });
});

test('files of every size around a record boundary read back whole, twice', async () => {
  const paths = sizes.map((size) => `/source/size-${size}`);
  for (const pass of ['fetched', 'resident']) {
    using batch = await mill.readMany(paths);
    for (const [i, size] of sizes.entries()) {
      assert.deepEqual(Buffer.from(batch.sample(i)), seededBytes(i, size), `${size} bytes, ${pass}`);
    }
    await node.run('load', '/source/names', '--wait');
  }
});

test('ranges of a file are those of the source, also across pieces and past its end', async () => {
  const size = 9 << 20;
  const whole = seededBytes(sizes.indexOf(size), size);
  const ranges = [
    [0, 1],
    [pieceBytes - 3, 7],
    [pieceBytes, pieceBytes],
    [1, size],
    [size - 5, 100],
    [size, 10],
  ] as const;
  for (const [offset, length] of ranges) {
    const read = await mill.read(`/source/size-${size}`, { offset, length });
    assert.deepEqual(Buffer.from(read), whole.subarray(offset, offset + length), `${offset}+${length}`);
  }
});

test('6 GiB are read in part without fetching the rest', async () => {
  const info = await mill.stat('/source/huge');
  assert.equal(info.size, hugeBytes);
  const mark = await mill.read('/source/huge', { offset: markAt, length: 8 });
  assert.equal(Buffer.from(mark).toString(), 'the mark');
  const end = await mill.read('/source/huge', { offset: hugeBytes - 10, length: 100 });
  assert.deepEqual(Buffer.from(end), Buffer.alloc(10));
  const { stdout } = await node.run('stat', '/source/huge', '--json');
  const { cachedBytes } = JSON.parse(stdout) as { cachedBytes: number };
  assert.ok(cachedBytes <= 2 * pieceBytes, `${cachedBytes} bytes of it are cached`);
});

test('every name is listed in byte order of names, and reads back under the name that is shown', async () => {
  const shown: string[] = [];
  for await (const entry of mill.list('/source/names')) shown.push(entry.path.slice('/source/names/'.length));
  const expected = [...names].sort(([a], [b]) => Buffer.compare(a, b)).map(([, name]) => name);
  assert.deepEqual(shown, expected);
  for (const name of shown) {
    assert.equal(Buffer.from(await mill.read(`/source/names/${name}`)).toString(), name);
  }
});

test('no name moves the cursor or adds a line in what ls prints', async () => {
  const { stdout } = await node.run('ls', '/source/names');
  assert.ok(stdout.includes('new\\nline\n'));
  assert.equal(stdout.trimEnd().split('\n').length, names.length);
});

test('paths that leave the namespace, and relative ones, are refused', async () => {
  for (const path of ['source/size-1', '/source/../etc/passwd', '/source//size-1', '']) {
    await assert.rejects(mill.read(path), { code: 'invalid' }, path);
  }
});
