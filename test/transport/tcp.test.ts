import assert from 'node:assert/strict';
import { createHmac, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { LogLines } from '@millpool/host/testing';
import { MillpoolError } from '@millpool/protocol';
import type { ErrorCode } from '@millpool/protocol';
import { connectTcp, listenTcp, openToAll, parseTcpAddress, readTrust } from '@millpool/transport';
import type { Admission, TcpAddress, TcpTransportServer, TransportConnection, Trust } from '@millpool/transport';

import { CutProxy } from '../harness/cut-proxy.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';
import type { TemporaryFolder } from '../harness/temporary-folder.ts';
import { certify } from '../harness/test-authority.ts';
import type { Certified } from '../harness/test-authority.ts';

const loopback: TcpAddress = { host: '127.0.0.1', port: 0 };
const token = Buffer.from('sesame opens the mountain');
const trust: Trust = { token, tls: null };
const pins = { pins: [] };
const limit = { timeout: 120_000 };

async function serve(
  t: TestContext,
  admission: Admission | null,
): Promise<{ readonly server: TcpTransportServer; readonly log: LogLines }> {
  const log = new LogLines();
  const handlers = {
    pins: async () => pins,
    status: (_: object, { signal }: { readonly signal: AbortSignal }) =>
      new Promise<never>((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error))),
  };
  const server = await listenTcp(loopback, handlers, { admission, log: log.log });
  t.after(() => server.close());
  return { server, log };
}

async function connected(t: TestContext, address: TcpAddress, by: Trust | null): Promise<TransportConnection> {
  const connection = await connectTcp(address, by);
  t.after(() => connection.close());
  return connection;
}

const failsWith =
  (code: ErrorCode, message: RegExp) =>
  (error: unknown): boolean => {
    assert.ok(error instanceof MillpoolError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
    assert.notEqual(error.remedy, '');
    return true;
  };

/** All that comes until the other end closes. */
async function allOf(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk)).on('error', () => {});
  if (!socket.destroyed) await once(socket, 'close');
  return Buffer.concat(chunks);
}

test('addresses are HOST:PORT, and what is none is told so', () => {
  assert.deepEqual(parseTcpAddress('node-7:7070'), { host: 'node-7', port: 7070 });
  assert.deepEqual(parseTcpAddress('[fd00::7]:1'), { host: 'fd00::7', port: 1 });
  for (const wrong of ['', ':1', 'a', 'a:', 'a:65536', 'fd00::7:1', '[fd00::7]', '[a]:1', 'a b:1', 'u@h:1']) {
    assert.throws(() => parseTcpAddress(wrong), { code: 'invalid' }, wrong);
  }
});

describe('with a token', limit, () => {
  test('those that have it talk', async (t) => {
    const { server } = await serve(t, trust);
    const connection = await connected(t, server.address, trust);
    assert.deepEqual(await connection.call('pins', {}), pins);
    await assert.rejects(connection.call('shutdown', {}), failsWith('unsupported', /does not answer shutdown/));
  });

  test('another token is refused, and each side says so', async (t) => {
    const { server, log } = await serve(t, trust);
    const other = { token: Buffer.from('sesame closes the mountain'), tls: null };
    await assert.rejects(connectTcp(server.address, other), failsWith('refused', /knows another token/));
    assert.ok(log.events.some(({ event }) => event === 'a connection was refused'));
    await assert.rejects(connectTcp(server.address, null), failsWith('refused', /something else than was expected/));
  });

  test('a server that does not know it is not believed', async (t) => {
    const liar = createServer((socket) => {
      socket.on('error', () => {}).write(Buffer.concat([Buffer.from('mlp1'), randomBytes(32)]));
      socket.once('data', () => socket.write(randomBytes(32)));
    });
    await once(liar.listen(0, '127.0.0.1'), 'listening');
    t.after(() => liar.close());
    const address = { ...loopback, port: (liar.address() as AddressInfo).port };
    await assert.rejects(connectTcp(address, trust), failsWith('refused', /knows another token/));
  });

  test('an answer that was heard before opens nothing', async (t) => {
    const { server } = await serve(t, trust);
    const heard = await introduced(server.address);
    const { socket } = await greeted(server.address);
    socket.write(heard);
    assert.deepEqual(await allOf(socket), Buffer.alloc(32), 'refused');
  });

  test('what is no node is sent away: a web request, a byte at a time, nothing at all', async (t) => {
    const { server, log } = await serve(t, trust);
    const web = (await greeted(server.address)).socket;
    web.write(`GET / HTTP/1.1\r\nHost: x\r\nX-Padding: ${'x'.repeat(64)}\r\n\r\n`);
    assert.deepEqual(await allOf(web), Buffer.alloc(32));
    const slow = (await greeted(server.address)).socket;
    const drip = setInterval(() => slow.write('x'), 100);
    const silent = (await greeted(server.address)).socket;
    assert.equal((await allOf(slow)).length, 0);
    clearInterval(drip);
    assert.equal((await allOf(silent)).length, 0);
    const said = log.events.map((line) => JSON.stringify(line)).join('\n');
    assert.match(said, /the token of 127\.0\.0\.1/);
  });
});

describe('those who say nothing', limit, () => {
  test('a thousand of them take nobody’s place for long', async (t) => {
    const { server } = await serve(t, trust);
    const known = await connected(t, server.address, trust);
    const crowd: Socket[] = [];
    for (let at = 0; at < 1_000; at += 1) {
      const socket = connect(server.address.port, '127.0.0.1');
      socket.on('error', () => {}).resume();
      crowd.push(socket);
    }
    await Promise.all(crowd.map((socket) => (socket.destroyed ? null : once(socket, 'close'))));
    assert.deepEqual(await known.call('pins', {}), pins);
    assert.deepEqual(await (await connected(t, server.address, trust)).call('pins', {}), pins);
  });

  test('calls end when the other side is cut off', async (t) => {
    const { server } = await serve(t, trust);
    const proxy = await CutProxy.start(server.address.port);
    t.after(() => proxy.stop());
    const connection = await connected(t, parseTcpAddress(proxy.endpoint), trust);
    const waiting = connection.call('status', {}, { timeoutSeconds: 600 });
    await sleep(50);
    proxy.cut();
    await assert.rejects(waiting, failsWith('unreachable', /is lost/));
    assert.ok(proxy.swallowedBytes > 0, 'the cut is in force');
  });
});

describe('beside a token', limit, () => {
  test('without anything only this machine is let in, unless somebody says so', async (t) => {
    const { server, log } = await serve(t, null);
    assert.deepEqual(await (await connected(t, server.address, null)).call('pins', {}), pins);
    const outside = { host: '0.0.0.0', port: 0 };
    const refused = listenTcp(outside, {}, { admission: null, log: log.log });
    await assert.rejects(refused, failsWith('refused', /nothing says who may connect/));
    const open = await listenTcp(outside, { pins: async () => pins }, { admission: openToAll, log: log.log });
    t.after(() => open.close());
    assert.deepEqual(await (await connected(t, { ...open.address, host: '127.0.0.1' }, null)).call('pins', {}), pins);
  });

  test('a node that has one and asks one that has none is told so', async (t) => {
    const { server } = await serve(t, null);
    await assert.rejects(connectTcp(server.address, trust), failsWith('timeout', /the node at 127\.0\.0\.1:\d+/));
  });

  test('a port that is taken, an address of another machine, and a port where nobody is', async (t) => {
    const { server, log } = await serve(t, trust);
    const again = listenTcp(server.address, {}, { admission: trust, log: log.log });
    await assert.rejects(again, failsWith('exists', /listens on 127\.0\.0\.1:\d+ already/));
    const elsewhere = listenTcp({ host: '192.0.2.1', port: 0 }, {}, { admission: trust, log: log.log });
    await assert.rejects(elsewhere, failsWith('invalid', /192\.0\.2\.1/));
    const { port } = server.address;
    await server.close();
    await assert.rejects(connectTcp({ ...loopback, port }, trust), failsWith('unreachable', /no node answers/));
  });
});

describe('with certificates', limit, () => {
  let folder: TemporaryFolder;
  let certified: Certified | null = null;
  let stranger: Certified | null = null;
  before(async () => {
    folder = await temporaryFolder('trust');
    const [ours, others] = [join(folder.path, 'authority'), join(folder.path, 'stranger')];
    for (const directory of [ours, others]) await mkdir(directory);
    [certified, stranger] = [await certify(ours), await certify(others)];
  });
  after(() => folder.remove());

  async function tlsOf(of: Certified | null, from: string | null, authority?: string): Promise<Trust> {
    assert.ok(of !== null);
    const files = { token: from, authority: authority ?? of.authority, certificate: of.certificate, key: of.key };
    return (await readTrust(files)) ?? assert.fail('no trust');
  }

  async function tokenFile(text: string, mode = 0o600): Promise<string> {
    const path = join(folder.path, `token-${randomBytes(4).toString('hex')}`);
    await writeFile(path, text);
    await chmod(path, mode);
    return path;
  }

  test('and a token, those that have both talk, and those that lack either do not', async (t) => {
    if (certified === null) return t.skip('openssl is not here');
    const both = await tlsOf(certified, await tokenFile(`${token.toString()}\n`));
    assert.deepEqual(both.token, token);
    const { server } = await serve(t, both);
    assert.deepEqual(await (await connected(t, server.address, both)).call('pins', {}), pins);
    const other = { ...both, token: Buffer.from('sesame closes the mountain') };
    await assert.rejects(connectTcp(server.address, other), failsWith('refused', /knows another token/));
    await assert.rejects(connectTcp(server.address, trust), failsWith('timeout', /the node at 127\.0\.0\.1/));
  });

  test('without a token, both sides show a certificate of the authority', async (t) => {
    if (certified === null || stranger === null) return t.skip('openssl is not here');
    const mutual = await tlsOf(certified, null);
    const { server } = await serve(t, mutual);
    assert.deepEqual(await (await connected(t, server.address, mutual)).call('pins', {}), pins);
    const unknown = await tlsOf(stranger, null, certified.authority);
    await assert.rejects(connectTcp(server.address, unknown), MillpoolError);
    const unbelieving = await tlsOf(certified, null, stranger.authority);
    await assert.rejects(connectTcp(server.address, unbelieving), failsWith('refused', /is not trusted/));
  });

  test('a token that others can read, or that is short, and half a pair are refused by name', async () => {
    const none = { token: null, authority: null, certificate: null, key: null };
    assert.equal(await readTrust(none), null);
    const open = await tokenFile(token.toString(), 0o644);
    await assert.rejects(readTrust({ ...none, token: open }), failsWith('refused', /others than its owner/));
    const short = await tokenFile('short\n');
    await assert.rejects(readTrust({ ...none, token: short }), failsWith('invalid', /has 5 bytes/));
    const gone = join(folder.path, 'gone');
    await assert.rejects(readTrust({ ...none, token: gone }), failsWith('not-found', /gone/));
    await assert.rejects(readTrust({ ...none, key: open }), failsWith('invalid', /belong together/));
    await assert.rejects(readTrust({ ...none, authority: open }), failsWith('invalid', /no certificate/));
  });
});

/** A connection on which the server has said its piece. */
async function greeted(address: TcpAddress): Promise<{ readonly socket: Socket; readonly random: Buffer }> {
  const socket = connect(address.port, address.host);
  socket.on('error', () => {});
  await once(socket, 'readable');
  const hello = socket.read(36) as Buffer;
  assert.equal(hello.subarray(0, 4).toString(), 'mlp1');
  return { socket, random: hello.subarray(4) };
}

/** What a node that knows the token says; the server lets it in. */
async function introduced(address: TcpAddress): Promise<Buffer> {
  const { socket, random } = await greeted(address);
  const ours = randomBytes(32);
  const proof = createHmac('sha256', token).update('client').update(random).update(ours).digest();
  const said = Buffer.concat([ours, proof]);
  socket.write(said);
  await once(socket, 'readable');
  assert.notDeepEqual(socket.read(32), Buffer.alloc(32), 'let in');
  socket.destroy();
  return said;
}
