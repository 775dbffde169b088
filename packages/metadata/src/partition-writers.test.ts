import assert from 'node:assert/strict';
import { test } from 'node:test';

import { SourceFiles } from '@millpool/under-storage';

import { hashName } from './name-hash.ts';
import { locate, placementOf, wholeMap, withChild } from './partition-map.ts';
import type { PartitionMap } from './partition-map.ts';
import { PartitionWriters } from './partition-writers.ts';
import { blockBytesMax, EntryBlockWriter } from './store/entry-block.ts';
import type { Write } from './store/environment.ts';
import { entryClasses, entryKey } from './store/keys.ts';
import { encodeEntry } from './store/records.ts';

const shards = 1_024;
const home = 77;
const directory = { id: Buffer.alloc(16, 7), text: '07'.repeat(16), home };
const prefix = Buffer.from('data/');
const tags = ['"0123456789abcdef0123456789abcdef"', '"0123456789ABCDEF0123456789abcdef"', 'm:12', '"x"'];

function mapOf(children: readonly number[]): PartitionMap {
  let map = wholeMap(home);
  for (const child of children) map = withChild(map, child, placementOf(home, child, shards));
  return map;
}

const files = Array.from({ length: 3_000 }, (_, number) => ({
  key: Buffer.concat([prefix, Buffer.from(`file ${String(number).padStart(5, '0')}${'x'.repeat(number % 41)}`)]),
  size: number ** 3,
  mtimeMs: 1_700_000_000_000 + number,
  tag: tags[number % tags.length] as string,
}));

/** As blocks would be written one entry after another, each where its name's hash says. */
function expected(map: PartitionMap): Write[] {
  const writes: Write[] = [];
  map.shards.forEach((shard, partition) => {
    if (shard === undefined) return;
    const place = { id: directory.id, shard, partition, kind: entryClasses.plainFile };
    const give = ({ first, value }: { first: Buffer; value: Buffer }): unknown =>
      writes.push({ key: entryKey(place, first), value });
    const writer = new EntryBlockWriter(give, blockBytesMax);
    for (const { key, size, mtimeMs, tag } of files) {
      const name = key.subarray(prefix.length);
      if (locate(map, hashName(name)) !== partition) continue;
      writer.add(name, encodeEntry({ type: 'file', size, mtimeMs, tag }));
    }
    writer.end();
  });
  return writes;
}

const inOrder = (writes: readonly Write[]): readonly Write[] =>
  writes.toSorted((left, right) => left.key.compare(right.key));

for (const children of [[], [1], [1, 2, 3], [1, 2, 4, 6], Array.from({ length: 63 }, (_, at) => at + 1)]) {
  test(`files are dealt out to ${children.length + 1} partitions as their hashes say`, () => {
    const map = mapOf(children);
    const writes: Write[] = [];
    const writers = new PartitionWriters({ directory, map, add: (write) => writes.push(write) });
    const packed = SourceFiles.of(files);
    for (let at = 0; at < packed.length; at += 700) {
      assert.equal(writers.addFiles(packed.slice(at, Math.min(at + 700, packed.length)), prefix.length).length, 0);
    }
    writers.end();
    assert.deepEqual(inOrder(writes), inOrder(expected(map)));
    assert.equal(
      writers.counts().reduce((sum, count) => sum + count),
      files.length,
    );
  });
}

test('what is left begins with the first name that may be another than its bytes', () => {
  const writers = new PartitionWriters({ directory, map: wholeMap(home), add: () => undefined });
  const named = SourceFiles.of(
    ['a', 'b%', 'c'].map((name) => ({ key: Buffer.from(name), size: 1, mtimeMs: 1, tag: '"e"' })),
  );
  assert.deepEqual(Array.from(writers.addFiles(named, 0).keys(), String), ['b%', 'c']);
  assert.equal(writers.addFiles(named.slice(2), 0).length, 0);
  assert.deepEqual([...writers.counts()], [2]);
});
