import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { test } from 'node:test';

import { MillpoolError } from '@millpool/protocol';

import { parseSource, sourceName } from './source-uri.ts';

test('sources are told apart by their scheme', () => {
  assert.deepEqual(parseSource('s3://bucket'), { scheme: 's3', bucket: 'bucket', prefix: '' });
  assert.deepEqual(parseSource('s3://bucket/'), { scheme: 's3', bucket: 'bucket', prefix: '' });
  assert.deepEqual(parseSource('s3://bucket/a b/%41'), { scheme: 's3', bucket: 'bucket', prefix: 'a b/%41/' });
  assert.deepEqual(parseSource('S3://bucket/x//'), { scheme: 's3', bucket: 'bucket', prefix: 'x//' });
  assert.deepEqual(parseSource('/data/../data/x'), { scheme: 'local', folder: '/data/x' });
  assert.deepEqual(parseSource('./x'), { scheme: 'local', folder: resolve('x') });
  assert.deepEqual(parseSource('file:///data'), { scheme: 'local', folder: '/data' });
  assert.deepEqual(parseSource('file://localhost/data'), { scheme: 'local', folder: '/data' });
});

test('what names no source is invalid', () => {
  for (const source of ['', 's3://', 's3:///x', 's3://a', 's3://buck et/x', 'gs://bucket', 'file://host/x', '/a\0b']) {
    const isInvalid = (error: unknown): boolean => error instanceof MillpoolError && error.code === 'invalid';
    assert.throws(() => parseSource(source), isInvalid, JSON.stringify(source));
  }
});

test('a source has a last name', () => {
  const nameOf = (source: string): string => sourceName(parseSource(source));
  assert.deepEqual(['s3://bucket', 's3://bucket/a/b/', '/data/train', '/'].map(nameOf), ['bucket', 'b', 'train', '']);
});
