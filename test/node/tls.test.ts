import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';

import { connect } from '@millpool/client';

import { MillpoolNode } from '../harness/millpool-process.ts';
import { awsEnvironment, clearAwsEnvironment } from '../harness/s3-server.ts';
import { seededBytes } from '../harness/seeded-random.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';
import { certify } from '../harness/test-authority.ts';
import { ensureVersitygw } from '../harness/versitygw-binary.ts';
import { startVersitygw } from '../harness/versitygw.ts';
import { WritableBucket } from '../harness/writable-bucket.ts';

const name = 'secure';
const files = 300;
const keyOf = (i: number): string => `part/${String(i).padStart(4, '0')}`;
const bytesOf = (i: number): Buffer => seededBytes(i, 1 + ((i * 7919) % 150_000));
const large = seededBytes(7, 9 << 20);

test('a bucket behind TLS: its authority is taken from AWS_CA_BUNDLE, and without it nothing is read', async (t) => {
  const binary = await ensureVersitygw({ say: (text) => t.diagnostic(text) });
  if (binary.kind === 'unavailable') return t.skip(binary.why);
  const folder = await temporaryFolder('tls');
  t.after(() => folder.remove());
  clearAwsEnvironment(folder.path);
  const certified = await certify(folder.path);
  if (certified === null) return t.skip('there is no openssl');

  const directory = join(folder.path, 'server');
  const open = await startVersitygw({ binary: binary.what, directory });
  const bucket = await WritableBucket.create(open, name);
  for (let i = 0; i < files; i += 1) await bucket.put(keyOf(i), bytesOf(i));
  await bucket.put('large', large);
  bucket.close();
  await open.stop();
  const server = await startVersitygw({ binary: binary.what, directory, tls: certified });
  t.after(() => server.stop());
  assert.match(server.endpoint, /^https:/);

  const start = async (node: string, env: Record<string, string>): Promise<MillpoolNode> => {
    const place = join(folder.path, node);
    await mkdir(place);
    return MillpoolNode.start({
      directory: place,
      sources: [`s3://${name}`],
      env: { ...awsEnvironment(server), ...env },
    });
  };
  await assert.rejects(start('unknown', {}), /no trusted TLS connection.*AWS_CA_BUNDLE/s);
  await assert.rejects(start('absent', { AWS_CA_BUNDLE: join(folder.path, 'none.pem') }), /none\.pem cannot be read/);
  await assert.rejects(start('empty', { AWS_CA_BUNDLE: certified.key }), /server\.key|trusted/);

  const node = await start('trusting', { AWS_CA_BUNDLE: certified.authority });
  t.after(() => node.stop());
  const mill = await connect({ socket: node.socket });
  t.after(() => mill.close());
  const data = await mill.dataset(`/${name}`);
  let seen = 0;
  for await (using batch of data.loader({ batchSize: 64, shuffle: true, seed: 1 })) {
    for (let i = 0; i < batch.length; i += 1) {
      const path = batch.path(i);
      const expected = path.endsWith('/large') ? large : bytesOf(Number(path.slice(-4)));
      assert.ok(expected.equals(batch.sample(i)), path);
      seen += 1;
    }
  }
  assert.equal(seen, files + 1);
});
