import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';

import { readListPage } from '@millpool/native';

import { SourceFiles } from './source-files.ts';

const names = ['a', 'a/b', 'ab', 'b\u{e9}', 'c'];
const files = names.map((name, at) => ({
  key: Buffer.from(name),
  size: at * 2 ** 40,
  mtimeMs: at,
  tag: `"${name.length}"`,
}));

test('files are what they were packed from, whole and in part', () => {
  const packed = SourceFiles.of(files);
  assert.deepEqual([...packed], files);
  assert.deepEqual(Array.from(packed.keys(), String), names);
  assert.deepEqual([...packed.slice(1, 3)], files.slice(1, 3));
  assert.deepEqual([...packed.slice(1).slice(2)], files.slice(3));
  assert.deepEqual([packed.length, packed.slice(4).length, packed.slice(5).length], [5, 1, 0]);
  assert.deepEqual([...SourceFiles.of([])], []);
});

test('a file is found by its key, and how many come before it', () => {
  const packed = SourceFiles.of(files);
  const counts = ['', 'a', 'a/', 'a/b', 'b', 'c', 'd'].map((key) => packed.countUpTo(Buffer.from(key)));
  assert.deepEqual(counts, [0, 1, 1, 2, 3, 5, 5]);
  assert.deepEqual(packed.find(Buffer.from('ab')), files[2]);
  assert.equal(packed.find(Buffer.from('a/')), null);
  assert.equal(packed.slice(3).find(Buffer.from('ab')), null);
});

test('they are packed here as the native side packs them', () => {
  const objects = files.map(
    ({ key, size, mtimeMs, tag }) =>
      `<Contents><Key>${String(key)}</Key><LastModified>${new Date(mtimeMs).toISOString()}</LastModified>` +
      `<ETag>${tag}</ETag><Size>${size}</Size></Contents>`,
  );
  const body = `<ListBucketResult><Name>bucket</Name>${objects.join('')}</ListBucketResult>`;
  assert.deepEqual(readListPage([Buffer.from(body)], Buffer.alloc(0))?.files, SourceFiles.of(files).packed);
});
