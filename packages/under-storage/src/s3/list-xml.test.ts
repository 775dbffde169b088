import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';

import { ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3';

import type { BucketList } from './bucket-list.ts';
import { readListXml } from './list-xml.ts';
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

async function bySdk(text: string | Buffer): Promise<BucketList> {
  body = Buffer.from(text as string);
  return listOf(await client.send(new ListObjectsV2Command({ Bucket: 'bucket' })));
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
  'no ETag, no time': page(`${fixed}<Contents><Key>a</Key><Size>0</Size></Contents>`),
  'an empty ETag': page(`${fixed}<Contents><Key>a</Key><Size>0</Size><ETag></ETag></Contents>`),
  'common prefixes': page(`${fixed}${url}<CommonPrefixes><Prefix>a%2Fb/</Prefix></CommonPrefixes>`),
  indented: page(`\n  ${fixed}\n  ${object('a')}\n`),
  'no prolog': page(fixed).slice(head.length),
  'no key and no size': page(`${fixed}<Contents></Contents>`),
  'no list by what it says': page('<Delimiter>/</Delimiter>'),
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
  'an empty list': `${head}<ListBucketResult/>`,
};

for (const [what, text] of Object.entries(plain)) {
  test(`an answer with ${what} reads as the SDK reads it`, async () => {
    assert.deepEqual(readListXml(Buffer.from(text)), await bySdk(text));
  });
}

test('what is unusual is left to the SDK', () => {
  for (const [what, text] of Object.entries(strange))
    assert.equal(readListXml(Buffer.from(text as string)), null, what);
});

test('a name that is a newline is one, though the SDK reads it as none', () => {
  const list = readListXml(Buffer.from(page(fixed + object('&#10;'))));
  assert.deepEqual(list?.isList === true && list.objects.map(({ key }) => key?.toString('hex')), ['0a']);
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
    const ours = readListXml(Buffer.from(text));
    if (ours === null) continue;
    own += 1;
    assert.deepEqual(ours, await bySdk(text).catch(String), `seed ${seed}: ${text}`);
  }
  assert.ok(own > 50, `${own} answers were read`);
});
