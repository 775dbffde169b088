import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { ListObjectsV2CommandOutput } from '@aws-sdk/client-s3';
import { MillpoolError } from '@millpool/protocol';

import { readListAnswer } from './list-answer.ts';
import { listOf } from './sdk-list.ts';

const place = { bucket: 'bucket', endpoint: 'http://endpoint', region: 'region' };
const LastModified = new Date(5000);
const object = (Key: string, more: object = {}): object => ({ Key, Size: 1, ETag: '"e"', LastModified, ...more });

function read(output: object, prefix = ''): ReturnType<typeof readListAnswer> {
  const whole: ListObjectsV2CommandOutput = { $metadata: {}, IsTruncated: false, ...output };
  return readListAnswer(listOf(whole), Buffer.from(prefix), place);
}

test('keys are decoded only where the answer says that they are encoded', () => {
  const texts = ['a%20b', 'c+d', 'e%2Bf', 'g%'];
  const Contents = texts.map((text) => object(text));
  const keys = (output: object): string[] => Array.from(read(output).files.keys(), String);
  assert.deepEqual(keys({ Contents }), texts);
  assert.deepEqual(keys({ Contents, EncodingType: 'url' }), ['a b', 'c d', 'e+f', 'g%']);
  const { directories } = read({ CommonPrefixes: [{ Prefix: 'x+y%2F' }], EncodingType: 'url' });
  assert.deepEqual(directories.map(String), ['x y/']);
});

test('a marker of a directory is no file, and said only where it has a content', () => {
  const answer = read({ Contents: [object('a/', { Size: 0 }), object('b/', { Size: 3 }), object('c')] });
  assert.deepEqual(Array.from(answer.files.keys(), String), ['c']);
  assert.deepEqual(
    answer.skipped.map(({ key, why }) => [String(key), why]),
    [['b/', 'marker']],
  );
  assert.equal(String(read({ Contents: [object('a/', { Size: 0 })] }).last), 'a/');
});

test('a missing ETag is tolerated', () => {
  const { files } = read({ Contents: [object('a', { ETag: undefined })] });
  assert.deepEqual([...files], [{ key: Buffer.from('a'), size: 1, mtimeMs: 5000, tag: 'm:5' }]);
});

test('what could hide a file is an error', () => {
  const broken: readonly [object, string?][] = [
    [{ IsTruncated: undefined }],
    [{ Contents: [object('b'), object('a')] }],
    [{ Contents: [object('a'), object('a')] }],
    [{ Contents: [object('a')] }, 'b/'],
    [{ CommonPrefixes: [{ Prefix: 'b/' }, { Prefix: 'a/' }] }],
    [{ Contents: [object('a', { Key: undefined })] }],
    [{ Contents: [object('a', { Size: undefined })] }],
    [{ Contents: [object('a', { ETag: undefined, LastModified: undefined })] }],
  ];
  for (const [output, prefix] of broken) {
    assert.throws(
      () => read(output, prefix),
      (error) => error instanceof MillpoolError && error.code === 'source-broken',
      JSON.stringify(output),
    );
  }
});
