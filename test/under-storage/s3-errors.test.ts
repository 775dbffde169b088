import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { rootCertificates } from 'node:tls';

import { MillpoolError } from '@millpool/protocol';
import type { S3Settings } from '@millpool/protocol';
import { openUnderStorage } from '@millpool/under-storage';
import type { UnderStorage } from '@millpool/under-storage';

import { FaultProxy } from '../harness/fault-proxy.ts';
import { everyRequest } from '../harness/fault.ts';
import type { S3Server } from '../harness/s3-server.ts';
import { freePort } from '../harness/server-process.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';
import type { TemporaryFolder } from '../harness/temporary-folder.ts';
import { startVersitygw } from '../harness/versitygw.ts';
import { ensureVersitygw } from '../harness/versitygw-binary.ts';
import { WritableBucket } from '../harness/writable-bucket.ts';
import { writeProfiles } from './aws-profiles.ts';

const settings: S3Settings = { endpoint: null, region: null, profile: 'right', anonymous: false, requesterPays: false };
const never = new AbortController().signal;
const source = 's3://errors';

const versitygw = await ensureVersitygw({ say: (text) => void process.stderr.write(`${text}\n`) });
const skip = versitygw.kind === 'unavailable' ? versitygw.why : false;

describe('S3: one clear error, or it works', { skip }, () => {
  let folder: TemporaryFolder;
  let server: S3Server;
  let bucket: WritableBucket;

  before(async () => {
    assert.ok(versitygw.kind === 'ready');
    folder = await temporaryFolder('s3-errors');
    server = await startVersitygw({ binary: versitygw.what, directory: `${folder.path}/data`, region: 'eu-west-1' });
    await writeProfiles(folder.path, server);
    bucket = await WritableBucket.create(server, 'errors');
    for (let i = 0; i < 40; i += 1) await bucket.put(`some/key-${i}`, Buffer.from('content'));
  });
  after(async () => {
    bucket.close();
    await server.stop();
    await folder.remove();
  });

  /** The error of opening, which must say no secret. */
  async function refusal(where: string, changed: Partial<S3Settings>): Promise<MillpoolError> {
    const error = await openUnderStorage(where, { ...settings, ...changed }).then(
      () => assert.fail(`${where} was opened`),
      (thrown: unknown) => thrown,
    );
    assert.ok(error instanceof MillpoolError, String(error));
    for (const text of [error.message, error.remedy, JSON.stringify(error), String(error.stack)]) {
      assert.ok(!text.includes(server.secretKey) && !text.includes('not-the-secret'), 'a secret is in the error');
    }
    assert.equal(error.cause, undefined, 'the SDK error holds signed headers');
    assert.notEqual(error.remedy, '');
    return error;
  }

  async function refusedAs(code: string, message: RegExp, where: string, changed: Partial<S3Settings>): Promise<void> {
    const error = await refusal(where, changed);
    assert.deepEqual([error.code, message.test(error.message)], [code, true], `${error.code}: ${error.message}`);
  }

  async function keys(storage: UnderStorage): Promise<number> {
    const request = { prefix: storage.root, recursive: true, after: null, limit: 1000, signal: never };
    return (await storage.list(request)).files.length;
  }

  test('a bucket that is not there', () => refusedAs('not-found', /no bucket nonesuch/, 's3://nonesuch', {}));
  test('a prefix with nothing below it', () => refusedAs('not-found', /nothing is below .*soma/, `${source}/soma`, {}));
  test('an object', () => refusedAs('invalid', /is an object/, `${source}/some/key-1`, {}));
  test('a wrong secret', () => refusedAs('refused', /secret key does not fit/, source, { profile: 'wrong-secret' }));
  test('an unknown access key', () =>
    refusedAs('refused', /does not know the access key/, source, { profile: 'unknown-key' }));
  test('a profile that is not there', () => refusedAs('invalid', /no AWS profile "none"/, source, { profile: 'none' }));
  test('no credentials at all', () =>
    refusedAs('refused', /no AWS credentials were found/, source, { profile: null, endpoint: server.endpoint }));
  test('an endpoint that is no URL', () => refusedAs('invalid', /is no http/, source, { endpoint: '127.0.0.1:9000' }));
  test('an endpoint that nobody listens at', async () => {
    const endpoint = `http://127.0.0.1:${await freePort()}`;
    await refusedAs('source-unavailable', /cannot be reached.*ECONNREFUSED/, source, { endpoint });
  });
  test('TLS where the server has none', () =>
    refusedAs('source-unavailable', /TLS/, source, { endpoint: server.endpoint.replace('http:', 'https:') }));

  test('a web server that speaks no S3', async () => {
    const pages = ['<html><body>hello</body></html>', '<html><title>x</html>', 'plain', ''];
    const web = createServer((_, response) => response.end(pages.pop())).listen(0, '127.0.0.1');
    await once(web, 'listening');
    const endpoint = `http://127.0.0.1:${(web.address() as AddressInfo).port}`;
    while (pages.length > 0) await refusedAs('source-broken', /no list|not understand/, source, { endpoint });
    web.closeAllConnections();
    web.close();
  });

  test('the region that the server asks for is used', async () => {
    const storage = await openUnderStorage(source, { ...settings, region: 'us-west-2' });
    assert.ok(storage.address.kind === 's3');
    assert.equal(storage.address.region, 'eu-west-1');
    assert.equal(await keys(storage), 40);
    await storage.close();
  });

  test('anonymous works on a public bucket alone', async () => {
    const anonymous = { profile: null, endpoint: server.endpoint, anonymous: true };
    await refusedAs('refused', /does not permit the LIST/, source, anonymous);
    await bucket.publish();
    const storage = await openUnderStorage(source, { ...settings, ...anonymous });
    assert.deepEqual([await keys(storage), await storage.credentials()], [40, null]);
    assert.notEqual(await storage.stat(Buffer.from('some/key-1'), never), null);
    await storage.close();
  });

  test('what the native side gets is whole', async () => {
    const storage = await openUnderStorage(`${source}/some/`, { ...settings, requesterPays: true });
    const { endpoint, accessKey, secretKey } = server;
    const native = { kind: 's3', endpoint, region: 'eu-west-1', bucket: 'errors', pathStyle: true };
    assert.deepEqual(storage.address, { ...native, anonymous: false, requesterPays: true, authorityFiles: [] });
    assert.deepEqual(await storage.credentials(), { accessKey, secretKey });
    assert.equal(storage.identity(), `s3\0${endpoint}\0errors`);
    assert.deepEqual([storage.source, String(storage.root)], ['s3://errors/some', 'some/']);
    await storage.close();
  });

  test('authorities by any of their names reach the native side, each file once', async (t) => {
    const file = `${folder.path}/authorities.pem`;
    await writeFile(file, rootCertificates.join('\n'));
    for (const name of ['AWS_CA_BUNDLE', 'SSL_CERT_FILE', 'NODE_EXTRA_CA_CERTS']) {
      process.env[name] = file;
      t.after(() => delete process.env[name]);
    }
    const storage = await openUnderStorage(source, settings);
    assert.ok(storage.address.kind === 's3');
    assert.deepEqual(storage.address.authorityFiles, [file]);
    await storage.close();
  });

  test('a storm of 503 is retried, and without end an error, never an empty listing', async () => {
    const proxy = await FaultProxy.start(server.endpoint, 7);
    const storage = await openUnderStorage(source, { ...settings, endpoint: proxy.endpoint });
    const fault = { kind: 'status', status: 503, code: 'SlowDown' } as const;
    proxy.script({ fault, probability: 0.3, matches: everyRequest });
    for (let i = 0; i < 10; i += 1) assert.equal(await keys(storage), 40);
    assert.ok(proxy.count('status') > 0);
    proxy.script({ fault, probability: 1, matches: everyRequest });
    const isUnavailable = (error: unknown): boolean =>
      error instanceof MillpoolError && error.code === 'source-unavailable';
    await assert.rejects(keys(storage), isUnavailable);
    await assert.rejects(storage.stat(Buffer.from('some/key-1'), never), isUnavailable);
    await storage.close();
    await proxy.stop();
  });

  for (const kind of ['cut', 'reset'] as const) {
    test(`a LIST that is ${kind} is never a shorter listing`, async () => {
      const proxy = await FaultProxy.start(server.endpoint, 8);
      const storage = await openUnderStorage(source, { ...settings, endpoint: proxy.endpoint });
      proxy.script({ fault: { kind, afterBytes: 2000 }, probability: 0.5, matches: everyRequest });
      for (let i = 0; i < 12; i += 1) {
        const count = await keys(storage).catch((error: unknown) => {
          assert.ok(error instanceof MillpoolError && error.code.startsWith('source-'), String(error));
          return 40;
        });
        assert.equal(count, 40);
      }
      assert.ok(proxy.count(kind) > 0);
      await storage.close();
      await proxy.stop();
    });
  }

  test('a LIST that hangs ends with its caller, and with the storage', async () => {
    const proxy = await FaultProxy.start(server.endpoint, 9);
    const storage = await openUnderStorage(source, { ...settings, endpoint: proxy.endpoint });
    proxy.script({ fault: { kind: 'hang-before-header' }, probability: 1, matches: everyRequest });
    const stop = new AbortController();
    const request = { prefix: storage.root, recursive: true, after: null, limit: 1000 };
    const given = assert.rejects(
      storage.list({ ...request, signal: stop.signal }),
      (error) => error instanceof MillpoolError && error.code === 'cancelled',
    );
    const closed = assert.rejects(
      storage.list({ ...request, signal: never }),
      (error) => error instanceof MillpoolError && error.code === 'closed',
    );
    await proxy.reached('hang-before-header', 2);
    stop.abort();
    await given;
    await storage.close();
    await closed;
    await proxy.stop();
  });
});
