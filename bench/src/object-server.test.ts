import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import {
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';

import { bucketOf, keyOf, ObjectServer } from './object-server.ts';

const objects = { count: 2500, sizeBytes: 10_000 };
const Bucket = bucketOf(objects);
const credentials = { accessKeyId: 'any', secretAccessKey: 'any' };
let server: ObjectServer;
let client: S3Client;

before(async () => {
  server = await ObjectServer.start('127.0.0.1');
  const { endpoint } = server;
  client = new S3Client({ endpoint, region: 'us-east-1', credentials, forcePathStyle: true, maxAttempts: 1 });
});
after(async () => {
  client.destroy();
  await server[Symbol.asyncDispose]();
});

async function get(Key: string, more: { Range?: string; IfMatch?: string } = {}): Promise<Buffer> {
  const { Body } = await client.send(new GetObjectCommand({ Bucket, Key, ...more }));
  return Buffer.from((await Body?.transformToByteArray()) ?? []);
}

interface ServiceError {
  readonly name: string;
  readonly $metadata: { readonly httpStatusCode?: number };
}

function named(name: string, status: number): (error: ServiceError) => boolean {
  return (error) => error.name === name && error.$metadata.httpStatusCode === status;
}

test('an object has its bytes, the same ones each time, and others than its neighbour', async () => {
  const [one, again, other] = await Promise.all([get(keyOf(7)), get(keyOf(7)), get(keyOf(8))]);
  assert.equal(one.length, objects.sizeBytes);
  assert.ok(one.equals(again) && !one.equals(other));
});

test('HEAD, GET and LIST agree on size, ETag and time', async () => {
  const head = await client.send(new HeadObjectCommand({ Bucket, Key: keyOf(3) }));
  const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket, Prefix: keyOf(3) }));
  assert.equal(Contents.length, 1);
  assert.equal(head.ContentLength, objects.sizeBytes);
  assert.equal(Contents[0]?.Size, objects.sizeBytes);
  assert.equal(Contents[0]?.ETag, head.ETag);
  assert.deepEqual(Contents[0]?.LastModified, head.LastModified);
  await client.send(new HeadBucketCommand({ Bucket }));
});

test('a range is a part, and one that names no byte is refused', async () => {
  const whole = await get(keyOf(1));
  assert.ok((await get(keyOf(1), { Range: 'bytes=100-199' })).equals(whole.subarray(100, 200)));
  assert.ok((await get(keyOf(1), { Range: 'bytes=9990-20000' })).equals(whole.subarray(9990)));
  assert.ok((await get(keyOf(1), { Range: 'bytes=-5' })).equals(whole.subarray(-5)));
  await assert.rejects(get(keyOf(1), { Range: 'bytes=10000-' }), named('InvalidRange', 416));
});

test('If-Match holds for the ETag alone', async () => {
  const { ETag = '' } = await client.send(new HeadObjectCommand({ Bucket, Key: keyOf(2) }));
  assert.equal((await get(keyOf(2), { IfMatch: ETag })).length, objects.sizeBytes);
  await assert.rejects(get(keyOf(2), { IfMatch: '"other"' }), named('PreconditionFailed', 412));
});

test('what is not there is named', async () => {
  await assert.rejects(get(keyOf(objects.count)), named('NoSuchKey', 404));
  await assert.rejects(client.send(new ListObjectsV2Command({ Bucket: 'photos' })), named('NoSuchBucket', 404));
});

test('every page of a listing goes on where the one before ended', async () => {
  const keys: string[] = [];
  let token: string | undefined;
  let pages = 0;
  do {
    const page = await client.send(new ListObjectsV2Command({ Bucket, ContinuationToken: token }));
    keys.push(...(page.Contents ?? []).map(({ Key = '' }) => Key));
    token = page.NextContinuationToken;
    assert.equal(page.IsTruncated, token !== undefined);
    pages += 1;
  } while (token !== undefined);
  assert.deepEqual(
    keys,
    Array.from({ length: objects.count }, (_, i) => keyOf(i)),
  );
  assert.equal(pages, 3);
});

test('a delimiter folds keys into common prefixes, over pages too', async () => {
  const prefixes: string[] = [];
  let token: string | undefined;
  do {
    const command = { Bucket, Prefix: 'data/', Delimiter: '/', MaxKeys: 2, ContinuationToken: token };
    const page = await client.send(new ListObjectsV2Command(command));
    assert.equal(page.Contents, undefined);
    prefixes.push(...(page.CommonPrefixes ?? []).map(({ Prefix = '' }) => Prefix));
    token = page.NextContinuationToken;
  } while (token !== undefined);
  assert.deepEqual(prefixes, ['data/part-0000/', 'data/part-0001/', 'data/part-0002/']);
});

test('start-after and a prefix in the middle of a name are kept to', async () => {
  const Prefix = 'data/part-0001/object-00011';
  const page = await client.send(new ListObjectsV2Command({ Bucket, Prefix, StartAfter: keyOf(1150) }));
  assert.deepEqual(
    page.Contents?.map(({ Key }) => Key),
    Array.from({ length: 49 }, (_, i) => keyOf(1151 + i)),
  );
});

test('writing is refused', async () => {
  await assert.rejects(client.send(new PutObjectCommand({ Bucket, Key: 'x', Body: 'x' })));
});
