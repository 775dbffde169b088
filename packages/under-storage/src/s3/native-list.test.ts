import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';

import { ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3';

import { readListAnswer } from './list-answer.ts';
import type { ListAnswer } from './list-answer.ts';
import { listAnswerIn } from './native-list.ts';
import { listOf } from './sdk-list.ts';

/** Answers every LIST with this. */
let body = Buffer.alloc(0);
let server: Server;
let client: S3Client;

before(async () => {
  server = createServer((_, response) => response.end(body));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const credentials = { accessKeyId: 'a', secretAccessKey: 'b' };
  client = new S3Client({ endpoint, region: 'us-east-1', credentials, forcePathStyle: true, maxAttempts: 1 });
});
after(() => {
  client.destroy();
  server.close();
});

const place = { bucket: 'bucket', endpoint: 'http://endpoint', region: 'region' };
const none = Buffer.alloc(0);

async function bySdk(text: string | Buffer): Promise<object> {
  body = Buffer.from(text as string);
  const output = await client.send(new ListObjectsV2Command({ Bucket: 'bucket' }));
  return plainly(readListAnswer(listOf(output), none, place));
}

function byUs(text: string | Buffer): object | null {
  const answer = listAnswerIn([Buffer.from(text as string)], none);
  return answer === null ? null : plainly(answer);
}

function plainly(answer: ListAnswer): object {
  return { ...answer, files: [...answer.files] };
}

const head = '<?xml version="1.0" encoding="UTF-8"?>\n';
const page = (inner: string): string =>
  `${head}<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${inner}</ListBucketResult>`;
const object = (key: string, more = ''): string =>
  `<Contents><Key>${key}</Key><LastModified>2026-01-05T06:07:08.123Z</LastModified><ETag>&quot;e&quot;</ETag>` +
  `<Size>5</Size>${more}</Contents>`;
const url = '<EncodingType>url</EncodingType>';
const fixed =
  '<Name>bucket</Name><Prefix/><KeyCount>1</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>';

const prefix = (name: string): string => `<CommonPrefixes><Prefix>${name}</Prefix></CommonPrefixes>`;
const time = '<LastModified>2026-02-28T23:59:59.999Z</LastModified>';
const etags = [
  'e',
  'W/&quot;e&quot;',
  'W/e',
  '&quot;',
  '&quot;&quot;',
  'a b',
  '&quot;W/e&quot;',
  'a"b',
  '"a"',
  'é',
  '&amp;',
];
const times = ['00Z', '01.5Z', '02.12Z', '04.000000Z'].map((end) => `2024-02-29T00:00:${end}`);
const withEtag = (key: string, etag: string): string =>
  `<Contents><Key>${key}</Key><Size>1</Size>${time}<ETag>${etag}</ETag></Contents>`;
const withTime = (key: string, text: string): string =>
  `<Contents><Key>${key}</Key><Size>1</Size><LastModified>${text}</LastModified></Contents>`;

/** Forms that servers use; ours reads them by itself. */
const plain: Readonly<Record<string, string>> = {
  'as AWS writes it': page(fixed + object('a/b.txt', '<StorageClass>STANDARD</StorageClass>')),
  'nothing in it': page(fixed),
  'a token': page('<IsTruncated>true</IsTruncated><NextContinuationToken>a&amp;b=</NextContinuationToken>'),
  'encoded names, told before': page(fixed + url + object('a%20b%2Bc+d%C3%A9') + object('z%%')),
  'encoded names, told after': page(object('a%20b') + fixed + url),
  'names with a percent that are not encoded': page(fixed + object('a%20b+c')),
  'entities in names': page(fixed + object('a&amp;b&lt;c&gt;&quot;d&apos;&#233;&#x3b1;')),
  'names beyond ASCII': page(fixed + object('café/日本語') + object('\u{1f600}')),
  'spaces around names': page(fixed + object(' a ')),
  'an owner': page(fixed + object('a', '<Owner><ID>1</ID><DisplayName>Key</DisplayName></Owner>')),
  'no ETag': page(`${fixed}<Contents><Key>a</Key><Size>0</Size>${time}</Contents>`),
  'an empty ETag': page(`${fixed}<Contents><Key>a</Key><Size>0</Size>${time}<ETag></ETag></Contents>`),
  'ETags of all kinds': page(fixed + etags.map((etag, at) => withEtag(`k${at + 10}`, etag)).join('')),
  'times of all kinds': page(fixed + times.map((text, at) => withTime(`k${at + 10}`, text)).join('')),
  'no time': page(`${fixed}<Contents><Key>a</Key><Size>7</Size><ETag>&quot;e&quot;</ETag></Contents>`),
  'markers of directories': page(fixed + object('a/') + object('b')).replace('<Size>5<', '<Size>0<'),
  'markers with a content': page(fixed + object('a/') + object('b/c') + object('d/')),
  'keys and prefixes': page(`${fixed}${object('b')}<CommonPrefixes><Prefix>a/</Prefix></CommonPrefixes>`),
  'a great size': page(fixed + object('a')).replace('<Size>5<', '<Size>9007199254740993<'),
  'common prefixes': page(`${fixed}${url}<CommonPrefixes><Prefix>a%2Fb/</Prefix></CommonPrefixes>`),
  indented: page(`\n  ${fixed}\n  ${object('a')}\n`),
  'no prolog': page(fixed).slice(head.length),
};

/** What is left to the SDK. */
const strange: Readonly<Record<string, string | Buffer>> = {
  'a comment': page(`${fixed}<!-- <Contents> -->${object('a')}`),
  CDATA: page(`${fixed}<Contents><Key><![CDATA[a]]></Key><Size>1</Size></Contents>`),
  attributes: page(`${fixed}<Contents><Key type="x">a</Key><Size>1</Size></Contents>`),
  'an unknown entity': page(fixed + object('a&nbsp;b')),
  'a size that is none': page(`${fixed}<Contents><Key>a</Key><Size>-1</Size></Contents>`),
  'a time in another form': page(`${fixed}<Contents><LastModified>2026-01-05T06:07:08+01:00</LastModified></Contents>`),
  'a newline in a name': page(fixed + object('a\nb')),
  'cut off': page(fixed + object('a')).slice(0, -30),
  'bytes that are not UTF-8': Buffer.from(page(fixed + object('\xff')), 'latin1'),
  'another document': `${head}<html><body>hello</body></html>`,
  nothing: '',
  'an error': `${head}<Error><Code>SlowDown</Code></Error>`,
  'a day that is none': page(fixed + withTime('a', '2026-02-30T00:00:00Z')),
  'a key twice': page(fixed + object('a') + object('a')),
  'a key out of order': page(fixed + object('b') + object('a')),
  'prefixes out of order': page(`${fixed}${['b/', 'a/'].map((name) => prefix(name)).join('')}`),
  'something behind it': `${page(fixed)}<a/>`,
  'an empty list': `${head}<ListBucketResult/>`,
  'no list by what it says': page('<Delimiter>/</Delimiter>'),
  'no key and no size': page(`${fixed}<Contents></Contents>`),
  'an empty ETag, no time': page(`${fixed}<Contents><Key>a</Key><Size>0</Size><ETag></ETag></Contents>`),
  'no ETag, no time': page(`${fixed}<Contents><Key>a</Key><Size>0</Size></Contents>`),
};

for (const [what, text] of Object.entries(plain)) {
  test(`an answer with ${what} reads as the SDK reads it`, async () => {
    assert.deepEqual(byUs(text), await bySdk(text));
  });
}

test('what is unusual is left to the SDK', () => {
  for (const [what, text] of Object.entries(strange)) assert.equal(byUs(text), null, what);
});

test('a name that is a newline is one, though the SDK reads it as none', () => {
  const answer = listAnswerIn([Buffer.from(page(fixed + object('&#10;')))], none);
  assert.deepEqual(Array.from(answer?.files.keys() ?? [], String), ['\n']);
});

test('random answers read as the SDK reads them, or not at all', async (context) => {
  const seed = randomInt(2 ** 31);
  context.diagnostic(`seed ${seed}`);
  let state = seed;
  const below = (limit: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return Math.floor((state / 2 ** 31) * limit);
  };
  const bits = ['a', '/', '%2F', '+', '&amp;', 'é', '%', '<Size>3</Size>', '\n', 'a&#10;', '<Key>', '</Key>', '<b/>'];
  const some = (): string => Array.from({ length: below(5) }, () => bits[below(bits.length)]).join('');
  let own = 0;
  for (let round = 0; round < 300; round += 1) {
    const objects = Array.from({ length: below(4) }, () => object(below(8) === 0 ? some() : 'k%2Fx', some())).join('');
    const text = page((below(2) === 0 ? url : '') + fixed + objects + (below(8) === 0 ? some() : ''));
    const ours = byUs(text);
    if (ours === null) continue;
    own += 1;
    assert.deepEqual(ours, await bySdk(text).catch(String), `seed ${seed}: ${text}`);
  }
  assert.ok(own > 50, `${own} answers were read`);
});

test('an answer with a key that does not begin as was asked is left to the SDK', () => {
  const text = [Buffer.from(page(fixed + object('a/b') + prefix('a/c/')))];
  assert.notEqual(listAnswerIn(text, Buffer.from('a/')), null);
  assert.equal(listAnswerIn(text, Buffer.from('a/b')), null);
  assert.equal(listAnswerIn(text, Buffer.from('b')), null);
});

test('chunks that were read are gone, and those that are a part of something stay', () => {
  const text = Buffer.from(page(fixed + object('a')));
  const whole = Buffer.from(text.buffer.slice(text.byteOffset, text.byteOffset + 100));
  const part = text.subarray(100);
  assert.equal(listAnswerIn([whole, part.subarray(0, -1)], none), null);
  assert.equal(whole.length, 100);
  assert.equal(listAnswerIn([whole, part], none)?.files.length, 1);
  assert.deepEqual([whole.length, part.length], [0, text.length - 100]);
});
