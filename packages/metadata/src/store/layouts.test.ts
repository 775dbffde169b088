import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import type { Attachment } from '@millpool/protocol';
import { LayoutVector } from '@millpool/protocol/testing';

import { decodeAttachment, encodeAttachment } from '../attachment-record.ts';
import { decodeCursor, encodeCursor } from '../cursor.ts';
import { directoryOf } from '../directory.ts';
import { decodePartitionMap, encodePartitionMap, partitionsOf, shardOf } from '../partition-map.ts';
import { EntryBlock, EntryBlockWriter } from './entry-block.ts';
import {
  attachmentOfKey,
  markedKey,
  directoryKey,
  directoryOfKey,
  entryKey,
  named,
  partitionKey,
  runPrefix,
  splitKey,
  splitOfKey,
} from './keys.ts';
import type { EntryClass, Run } from './keys.ts';
import { decodeCount, decodeDirectory, decodeEntry, encodeCount, encodeDirectory, encodeEntry } from './records.ts';

const shards = 1024;
const record = LayoutVector.named('metadata-directory-record');
const directory = directoryOf(
  {
    attachment: record.number('directory-record/0/attachment'),
    path: '/train/cats',
    prefix: record.part('directory-record/0/prefix'),
  },
  shards,
);

test("a directory's id and home are the published hash", () => {
  const vector = LayoutVector.named('metadata-directory-key');
  assert.deepEqual(directoryKey(directory), vector.bytes);
  const { id, home } = directoryOfKey(vector.bytes);
  assert.deepEqual([id, home], [directory.id, directory.home]);
});

test('keys have the bytes of docs/formats.md', () => {
  const partition = LayoutVector.named('metadata-partition-key');
  const [shard, number] = ['shard', 'partition'].map((field) => partition.number(`partition-key/0/${field}`));
  assert.deepEqual(partitionKey(directory.id, shard ?? 0, number ?? 0), partition.bytes);

  const entry = LayoutVector.named('metadata-entry-key');
  const kind = entry.number('entry-key/0/class') as EntryClass;
  const place = { id: directory.id, shard: shard ?? 0, partition: number ?? 0, kind };
  assert.deepEqual(entryKey(place, entry.part('entry-key/0/name')), entry.bytes);

  const run = LayoutVector.named('metadata-run-key');
  const [which, item] = [run.number('run-key/0/run') as Run, run.number('run-key/0/class') as EntryClass];
  assert.deepEqual(named(runPrefix(directory, which, item), run.part('run-key/0/name')), run.bytes);

  const split = LayoutVector.named('metadata-split-key');
  const { parent, child } = splitOfKey(split.bytes);
  assert.deepEqual([parent, child], [split.number('split-key/0/parent'), split.number('split-key/0/child')]);
  assert.deepEqual(splitKey(directory, parent, child), split.bytes);

  const marked = LayoutVector.named('metadata-marked-key');
  assert.equal(attachmentOfKey(marked.bytes), marked.number('marked-key/0/attachment'));
  assert.deepEqual(markedKey(attachmentOfKey(marked.bytes)), marked.bytes);
});

test('records have the bytes of docs/formats.md', () => {
  assert.deepEqual(decodeDirectory(record.bytes), {
    state: 'applying',
    hasOddFiles: true,
    hasDirectories: true,
    generation: record.number('directory-record/0/generation'),
    listedAtMs: record.number('directory-record/0/listed at'),
    subtreeListedAtMs: record.number('directory-record/0/subtree listed at'),
    attachment: directory.attachment,
    prefix: directory.prefix,
  });
  assert.deepEqual(encodeDirectory(decodeDirectory(record.bytes)), record.bytes);

  const entry = LayoutVector.named('metadata-entry-record');
  const [size, mtimeMs] = [entry.number('entry-record/0/size'), entry.number('entry-record/0/mtime')];
  assert.deepEqual(decodeEntry(entry.bytes), { type: 'file', size, mtimeMs, tag: entry.text('entry-record/0/tag') });
  assert.deepEqual(encodeEntry(decodeEntry(entry.bytes)), entry.bytes);

  const packed = LayoutVector.named('metadata-entry-record-packed');
  assert.equal(decodeEntry(packed.bytes).tag, packed.text('entry-record/0/tag'));
  assert.deepEqual(encodeEntry(decodeEntry(packed.bytes)), packed.bytes);

  const count = LayoutVector.named('metadata-partition-record');
  assert.equal(decodeCount(count.bytes), count.number('partition-record/0/names'));
  assert.deepEqual(encodeCount(decodeCount(count.bytes)), count.bytes);
});

test('a block of entries has the bytes of docs/formats.md, and numbers that lead out of it are seen', () => {
  const vector = LayoutVector.named('metadata-entry-block');
  const block = new EntryBlock(vector.bytes);
  assert.equal(block.count, vector.number('entry-block/0/entries'));
  const written: Buffer[] = [];
  const writer = new EntryBlockWriter(({ value }) => written.push(value));
  for (let at = 0; at < block.count; at += 1) {
    assert.equal(block.order(at), vector.text(`block-entry/${at}/name`));
    assert.deepEqual(block.value(at), vector.part(`block-entry/${at}/record`));
    writer.add(block.name(at), block.value(at));
  }
  writer.end();
  assert.deepEqual(written, [vector.bytes]);
  for (let at = 0; at < vector.bytes.length; at += 1) {
    const damaged = Buffer.from(vector.bytes);
    damaged[at] = 0xff;
    try {
      const read = new EntryBlock(damaged);
      for (let entry = 0; entry < Math.min(read.count, 4); entry += 1)
        assert.ok(read.order(entry) !== '' || read.value(entry));
    } catch (error) {
      assert.equal((error as { code?: string }).code, 'corrupt', String(error));
    }
  }
});

test('a partition map has the bytes of docs/formats.md', () => {
  const vector = LayoutVector.named('partition-map');
  const map = decodePartitionMap(vector.bytes, shards);
  const placed = partitionsOf(map).map((partition) => [partition, shardOf(map, partition)]);
  const wanted = [0, 1, 2, 5].map((partition, n) => [partition, vector.number(`partition-shard/${n}/shard`)]);
  assert.deepEqual(placed, wanted);
  assert.equal(map.version, vector.number('partition-map/0/version'));
  assert.deepEqual(Buffer.from(encodePartitionMap(map)), vector.bytes);
});

test('a cursor has the bytes of docs/formats.md', () => {
  const vector = LayoutVector.named('listing-cursor');
  const text = vector.bytes.toString('base64url');
  const cursor = decodeCursor(text, { directory: directory.id, recursive: true, path: directory.path });
  assert.deepEqual(cursor, {
    directory: vector.part('listing-cursor/0/directory'),
    recursive: true,
    generation: vector.number('listing-cursor/0/generation'),
    type: 'directory',
    last: vector.text('listing-cursor/0/last'),
  });
  assert.equal(encodeCursor(cursor), text);
});

test('an attachment that was recorded once is read as it was', () => {
  const bytes = readFileSync(new URL('../../../../test/vectors/attachment.json', import.meta.url));
  const attachment = decodeAttachment(bytes);
  const recorded = JSON.parse(bytes.toString()) as Attachment;
  assert.deepEqual(attachment, recorded);
  assert.deepEqual(decodeAttachment(encodeAttachment(attachment)), attachment);
  const { compression, ...older } = recorded;
  assert.equal(compression, 'auto');
  assert.equal(decodeAttachment(Buffer.from(JSON.stringify(older))).compression, 'off');
  for (const damaged of ['', '{', '[]', '7', '{"id": 1}', '{"id": "1", "path": "/a"}']) {
    assert.throws(() => decodeAttachment(Buffer.from(damaged)), { code: 'corrupt' }, damaged);
  }
});
