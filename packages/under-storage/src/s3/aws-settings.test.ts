import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { MillpoolError } from '@millpool/protocol';
import type { S3Settings } from '@millpool/protocol';

import { awsSettings } from './aws-settings.ts';
import { bucketAddress, s3Client } from './client.ts';

const none: S3Settings = { endpoint: null, region: null, profile: null, anonymous: false, requesterPays: false };
const config = `
[default]
region = eu-north-1
[profile minio]
endpoint_url = https://general.example
services = local
s3 =
  addressing_style = virtual
[profile plain]
endpoint_url = http://plain.example:9000/
[profile old]
s3 =
  addressing_style = path
[services local]
s3 =
  endpoint_url = http://s3.example
`;

let place: string;
before(async () => {
  place = await mkdtemp(join(tmpdir(), 'millpool-aws-'));
  await writeFile(join(place, 'config'), config);
  for (const name of Object.keys(process.env)) if (name.startsWith('AWS_')) delete process.env[name];
  process.env['AWS_CONFIG_FILE'] = join(place, 'config');
  process.env['AWS_SHARED_CREDENTIALS_FILE'] = join(place, 'none');
});
after(() => rm(place, { recursive: true }));

test('settings are over environment over profile', async () => {
  const environment = { AWS_ENDPOINT_URL: 'http://all.example', AWS_REGION: 'us-west-1' };
  const endpoint = async (settings: Partial<S3Settings>, env: NodeJS.ProcessEnv): Promise<string | null> =>
    (await awsSettings({ ...none, ...settings }, env)).endpoint;
  assert.equal(await endpoint({}, {}), null);
  assert.equal(await endpoint({ profile: 'plain' }, {}), 'http://plain.example:9000');
  assert.equal(await endpoint({ profile: 'minio' }, {}), 'http://s3.example');
  assert.equal(await endpoint({ profile: 'minio' }, environment), 'http://all.example');
  assert.equal(await endpoint({}, { ...environment, AWS_ENDPOINT_URL_S3: 'http://s3.own' }), 'http://s3.own');
  assert.equal(await endpoint({ endpoint: 'HTTPS://Mine.example:443' }, environment), 'https://mine.example');
  assert.equal(await endpoint({}, { ...environment, AWS_IGNORE_CONFIGURED_ENDPOINT_URLS: 'true' }), null);
  assert.equal((await awsSettings(none, {})).region, 'eu-north-1');
  assert.equal((await awsSettings(none, { AWS_DEFAULT_REGION: 'sa-east-1' })).region, 'sa-east-1');
  assert.equal((await awsSettings({ ...none, region: 'ap-east-1' }, environment)).region, 'ap-east-1');
});

test('path style is for custom endpoints, unless the profile says otherwise', async () => {
  const pathStyle = async (settings: Partial<S3Settings>): Promise<boolean> =>
    (await awsSettings({ ...none, ...settings }, {})).pathStyle;
  assert.deepEqual(
    [await pathStyle({}), await pathStyle({ profile: 'plain' }), await pathStyle({ profile: 'minio' })],
    [false, true, false],
  );
  assert.equal(await pathStyle({ profile: 'old' }), true);
});

test('an endpoint with a path, a user or another scheme is invalid and said without its password', async () => {
  for (const endpoint of ['ftp://x', 'http://x/bucket', 'http://user:hush@x', 'x:9000', 'http://', 'http://x?a=b']) {
    await assert.rejects(
      awsSettings({ ...none, endpoint }, {}),
      (error) => error instanceof MillpoolError && error.code === 'invalid' && !error.message.includes('hush'),
      endpoint,
    );
  }
});

test('the native side learns the host as the SDK would find it', async () => {
  const found = async (bucket: string, region: string, settings: Partial<S3Settings>): Promise<readonly unknown[]> => {
    const aws = await awsSettings({ ...none, ...settings }, {});
    const { endpoint, pathStyle } = await bucketAddress(s3Client(aws, region, null), bucket, aws);
    return [endpoint, pathStyle];
  };
  assert.deepEqual(await found('bucket', 'eu-west-1', {}), ['https://s3.eu-west-1.amazonaws.com', false]);
  assert.deepEqual(await found('bucket', 'cn-north-1', {}), ['https://s3.cn-north-1.amazonaws.com.cn', false]);
  assert.deepEqual(await found('dotted.bucket', 'eu-west-1', {}), ['https://s3.eu-west-1.amazonaws.com', true]);
  assert.deepEqual(await found('bucket', 'any', { profile: 'plain' }), ['http://plain.example:9000', true]);
  assert.deepEqual(await found('bucket', 'any', { profile: 'minio' }), ['http://s3.example', false]);
});
