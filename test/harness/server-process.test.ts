import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test } from 'node:test';

import { ServerProcess } from './server-process.ts';

const listen = `
  const server = require('node:net').createServer();
  server.listen(Number(process.argv[1]), '127.0.0.1', () => console.log('here'));`;

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

test('a server listens after start and is gone after stop', async () => {
  const server = await ServerProcess.start(process.execPath, (port) => ['-e', listen, String(port)]);
  await new Promise((resolve, reject) => {
    const socket = connect(server.port, '127.0.0.1', () => resolve(socket.destroy())).on('error', reject);
  });
  assert.ok(isAlive(server.pid));
  await server.stop();
  assert.ok(!isAlive(server.pid));
  await server.stop();
});

test('a server that ends or is missing is an error with what it said', async () => {
  const fails = ServerProcess.start(process.execPath, () => ['-e', 'console.error("no room"); process.exit(3)']);
  await assert.rejects(fails, /ended at once.*no room/s);
  await assert.rejects(
    ServerProcess.start('/no/such/server', () => []),
    /ended at once/,
  );
});
