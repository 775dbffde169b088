import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, existsSync, statSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { setImmediate as turnOfEventLoop } from 'node:timers/promises';
import { promisify } from 'node:util';
import { encodeCall, EntryPacker, MillpoolError, unpackEntries } from '@millpool/protocol';
import type { Handlers, ListReply, ListRequest } from '@millpool/protocol';
import { WebSocket } from 'ws';
import { connectTransport } from './connect.ts';
import type { TransportConnection } from './connect.ts';
import { listenTransport } from './listen.ts';
import type { TransportServer } from './served.ts';
import { encodeMessage, subprotocol } from './message.ts';
import { handlersWith } from './testing/handlers.ts';

function socketPathFor(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'millpool transport:'));
  t.after(() => rmSync(directory, { recursive: true }));
  return join(directory, 'control');
}

interface Served {
  readonly path: string;
  readonly server: TransportServer;
  readonly connection: TransportConnection;
}

async function serve(t: TestContext, some: Partial<Handlers>): Promise<Served> {
  const path = socketPathFor(t);
  const server = await listenTransport(path, handlersWith(some));
  t.after(() => server.close());
  const connection = await connectTransport(path);
  t.after(() => connection.close());
  return { path, server, connection };
}

/** A bare WebSocket, to say what our client never would; resolves when it is open. */
async function bareSocket(path: string, protocol = subprotocol): Promise<WebSocket> {
  const socket = new WebSocket('ws://x/', protocol, { createConnection: () => connect({ path }) });
  await new Promise((resolve, reject) => socket.on('open', resolve).on('error', reject));
  return socket;
}

const closeOf = (socket: WebSocket): Promise<{ code: number; reason: string }> =>
  new Promise((resolve) => socket.on('close', (code, reason) => resolve({ code, reason: reason.toString() })));

const fields = { type: 'file', size: 2 ** 40, mtimeMs: 1.5, tag: '"ä"' } as const;
function pageOf({ path, limit }: Pick<ListRequest, 'path' | 'limit'>): ListReply {
  const entries = new EntryPacker(path);
  for (let index = 0; index < limit; index += 1) entries.add(`${index}`, fields);
  return { entries: entries.packed(), cursor: null, ageSeconds: 0, changed: false };
}

test('replies come back as they were given, each to its own call', async (t) => {
  const { connection } = await serve(t, {
    list: async (request) => pageOf(request),
    resolve: async ({ paths }) => ({ objects: Buffer.from(paths.join()), failures: [] }),
  });
  const limits = [1, 300, 7, 10_000, 2];
  const pages = await Promise.all(
    limits.map((limit) => connection.call('list', { path: '/a', recursive: false, cursor: null, limit })),
  );
  assert.deepEqual(
    pages.map(({ entries }) => unpackEntries(entries).length),
    limits,
  );
  const [, , , , last = pageOf({ path: '/a', limit: 0 })] = pages;
  assert.deepEqual(unpackEntries(last.entries), [
    { path: '/a/0', ...fields },
    { path: '/a/1', ...fields },
  ]);
  const { objects } = await connection.call('resolve', { paths: ['/a/', '/b'], atSource: false });
  assert.equal(Buffer.from(objects).toString(), '/a,/b', 'paths reach the handler in normal form');
});

test('a bad request never reaches a handler, and the error names the field', async (t) => {
  const { connection } = await serve(t, {
    list: async () => assert.fail('the handler was called'),
  });
  const request = { path: '/a', recursive: false, cursor: null, limit: 0 };
  await assert.rejects(connection.call('list', request), { code: 'invalid', message: /^list\.limit / });
  await assert.rejects(connection.call('list', { ...request, limit: 1, path: 'a' }), { code: 'invalid', path: 'a' });
  await assert.rejects(connection.call('nonsense' as 'list', request), { code: 'invalid', message: /nonsense/ });
});

test("a handler's error arrives with its code, remedy and path; any other is internal", async (t) => {
  const shape = { code: 'source-changed', message: 'it is another', remedy: 'load it', path: '/a/b' } as const;
  const { connection } = await serve(t, {
    stat: () => Promise.reject(new MillpoolError(shape)),
    jobs: () => Promise.reject(new RangeError('oops')),
  });
  await assert.rejects(connection.call('stat', { paths: [] }), shape);
  await assert.rejects(connection.call('jobs', {}), { code: 'internal', message: 'oops' });
});

test('a handler is told of the deadline, of a caller that gives up, and of one that is gone', async (t) => {
  const reasons: string[] = [];
  let told: () => void = () => {};
  let started: () => void = () => {};
  const { path, connection } = await serve(t, {
    status: (_request, { signal }) => {
      started();
      return new Promise((_, reject) => {
        signal.addEventListener('abort', () => {
          reasons.push((signal.reason as MillpoolError).code);
          reject(signal.reason as MillpoolError);
          told();
        });
      });
    },
  });
  const nextTold = (): Promise<void> => new Promise((resolve) => (told = resolve));
  const nextStarted = (): Promise<void> => new Promise((resolve) => (started = resolve));

  let ended = nextTold();
  await assert.rejects(connection.call('status', {}, { timeoutSeconds: 0.02 }), { code: 'timeout' });
  await ended;

  ended = nextTold();
  let running = nextStarted();
  const stop = new AbortController();
  const given = assert.rejects(connection.call('status', {}, { signal: stop.signal }), { code: 'cancelled' });
  await running;
  stop.abort();
  await given;
  await ended;

  ended = nextTold();
  running = nextStarted();
  const other = await connectTransport(path);
  const lost = assert.rejects(other.call('status', {}), { code: 'closed' });
  await running;
  await other.close();
  await lost;
  await ended;
  assert.deepEqual(reasons, ['timeout', 'cancelled', 'cancelled']);
});

test('a server that closes aborts what runs, answers it, and removes its socket', async (t) => {
  let running: () => void = () => {};
  const started = new Promise<void>((resolve) => (running = resolve));
  const { path, server, connection } = await serve(t, {
    jobs: () => (running(), new Promise(() => {})),
    shutdown: async () => ({ pid: 7 }),
  });
  assert.deepEqual(await connection.call('shutdown', {}), { pid: 7 });
  const asked = assert.rejects(connection.call('jobs', {}), { code: 'closed' });
  await started;
  await server.close();
  await asked;
  await assert.rejects(connection.call('jobs', {}), { code: 'unreachable' });
  assert.equal(existsSync(path), false);
});

test('what is not a message closes the connection with one clear reason, and nothing else', async (t) => {
  const { path, connection } = await serve(t, { jobs: async () => ({ jobs: [] }) });
  const body = new Uint8Array();
  const wrong: readonly (readonly [what: string, data: Uint8Array | string])[] = [
    ['text', 'hello'],
    ['too short for a head', Buffer.of(0, 1)],
    ['an unknown kind', Buffer.of(9, 1, 0, 0, 0)],
    ['a reply', encodeMessage({ kind: 'reply', id: 1, body })],
  ];
  for (const [what, data] of wrong) {
    const socket = await bareSocket(path);
    const closed = closeOf(socket);
    socket.send(data);
    const { code, reason } = await closed;
    assert.equal(code, 1002, what);
    assert.notEqual(reason, '', what);
  }
  assert.deepEqual(await connection.call('jobs', {}), { jobs: [] });
});

test('a body that is not MessagePack, or claims more than it brings, is invalid; the connection stays', async (t) => {
  const { path } = await serve(t, {});
  const socket = await bareSocket(path);
  t.after(() => socket.terminate());
  const bodies = ['c1', '', 'dd7fffffff', 'dfffffffff', 'c6ffffffff00', 'd9ff61', '91'.repeat(100_000), '83a6'];
  for (const [index, hex] of bodies.entries()) {
    const answer = new Promise<Buffer>((resolve) => socket.once('message', (data: Buffer) => resolve(data)));
    socket.send(encodeMessage({ kind: 'call', id: index, body: Buffer.from(hex, 'hex') }));
    const reply = (await answer).toString('latin1');
    assert.match(reply, /invalid/, hex.slice(0, 20));
  }
});

test('a message over the limit closes the connection; a reply over it is an error', { timeout: 60_000 }, async (t) => {
  const { path, connection } = await serve(t, {
    resolve: async () => ({ objects: new Uint8Array(40 * 1024 * 1024), failures: [] }),
  });
  await assert.rejects(connection.call('resolve', { paths: [], atSource: false }), {
    code: 'invalid',
    message: /bytes/,
  });
  const socket = await bareSocket(path);
  socket.on('error', () => {});
  const closed = closeOf(socket);
  socket.send(Buffer.alloc(40 * 1024 * 1024));
  assert.ok([1006, 1009].includes((await closed).code));
});

test('a caller that does not read its replies is not read from either, and the daemon stays small', async (t) => {
  let calls = 0;
  const { path } = await serve(t, {
    resolve: async () => ((calls += 1), { objects: new Uint8Array(1024 * 1024), failures: [] }),
  });
  const socket = await bareSocket(path);
  t.after(() => socket.terminate());
  socket.pause();
  const body = encodeCall('resolve', { paths: [], atSource: false }, 1000);
  const sent = 400;
  for (let id = 0; id < sent; id += 1) {
    socket.send(encodeMessage({ kind: 'call', id, body }));
    await turnOfEventLoop();
  }
  assert.ok(calls > 0 && calls < sent / 4, `${calls} of ${sent} calls ran while nothing was read`);
  let replies = 0;
  const all = new Promise<void>((resolve) => socket.on('message', () => ++replies === sent && resolve()));
  socket.resume();
  await all;
  assert.equal(calls, sent);
});

test('another version is told so, by name', async (t) => {
  const { path } = await serve(t, {});
  await assert.rejects(bareSocket(path, 'millpool.0'), /426/);
  await assert.rejects(bareSocket(path, 'other'), /426/);
  const newer = socketPathFor(t);
  const server = createServer((socket) => {
    socket.once('data', () =>
      socket.end('HTTP/1.1 426 x\r\nmillpool-subprotocol: millpool.99\r\ncontent-length: 0\r\n\r\n'),
    );
  });
  await new Promise<void>((resolve) => server.listen(newer, resolve));
  t.after(() => server.close());
  await assert.rejects(connectTransport(newer), { code: 'unsupported', message: /millpool\.99/ });
});

test('a socket left by a dead daemon is replaced; a living one and a file are not', async (t) => {
  const path = socketPathFor(t);
  await assert.rejects(connectTransport(path), { code: 'unreachable', path });
  // A process that binds the socket and dies at once leaves its file: libuv removes it only on a clean close.
  const die = "() => process.kill(process.pid, 'SIGKILL')";
  const dying = `require('net').createServer().listen(${JSON.stringify(path)}, ${die})`;
  await assert.rejects(promisify(execFile)(process.execPath, ['-e', dying]), { signal: 'SIGKILL' });
  assert.ok(statSync(path).isSocket(), 'the stale socket is there');
  await assert.rejects(connectTransport(path), { code: 'unreachable' });

  const server = await listenTransport(path, handlersWith({}));
  assert.equal(statSync(path).mode & 0o777, 0o660);
  await assert.rejects(listenTransport(path, handlersWith({})), { code: 'exists', path });
  const connection = await connectTransport(path);
  await connection.close();
  await server.close();

  writeFileSync(path, 'a file');
  await assert.rejects(listenTransport(path, handlersWith({})), { code: 'exists', path });
  await assert.rejects(listenTransport(`/${'x'.repeat(200)}`, handlersWith({})), { code: 'invalid' });
});

test('a daemon that is killed while it works is unreachable, at once', async (t) => {
  const path = socketPathFor(t);
  const program = `
    import { listenTransport } from ${JSON.stringify(new URL('./listen.js', import.meta.url).href)};
    import { handlersWith } from ${JSON.stringify(new URL('./testing/handlers.js', import.meta.url).href)};
    await listenTransport(process.argv[1], handlersWith({ jobs: () => process.kill(process.pid, 'SIGKILL') }));
    process.stdout.write('up');`;
  const child = execFile(process.execPath, ['--input-type=module', '-e', program, path]);
  await new Promise((resolve) => child.stdout?.once('data', resolve));
  const connection = await connectTransport(path);
  await assert.rejects(connection.call('jobs', {}), { code: 'unreachable' });
  await connection.close();
});
