import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import type { Status } from '@millpool/protocol';

import { objectsOf } from '../harness/command-output.ts';
import { FolderNode } from '../harness/folder-node.ts';

const node = await FolderNode.start('held', { files: 200, seed: 5, bytesMin: 60_000, bytesMax: 100_000 }, [
  '--size',
  '64MiB',
]);
after(() => node.stop());
/** Of a wait for something that must come. */
const deadlineMs = 120_000;

/** Reads all files, which maps their segments, and then does nothing until its input ends. */
const readerScript = `
  import { connect } from '@millpool/client';
  const mill = await connect({ socket: process.argv[1] });
  const data = await mill.dataset('/source');
  for (let pass = 0; pass < 2; pass += 1)
    for await (const batch of data.loader({ batchSize: 50 })) batch.release();
  console.log('idle');
  for await (const line of process.stdin) ;
  await mill.close();
`;

async function idleReader(): Promise<ChildProcess & { readonly pid: number }> {
  const args = ['--input-type=module', '-e', readerScript, node.socket];
  const child = spawn(process.execPath, args, { cwd: import.meta.dirname, stdio: ['pipe', 'pipe', 'inherit'] });
  assert.ok(child.stdout !== null && child.pid !== undefined);
  const [line] = await once(createInterface(child.stdout), 'line');
  assert.equal(line, 'idle');
  return Object.assign(child, { pid: child.pid });
}

async function status(): Promise<Status> {
  const [found] = objectsOf<Status>(await node.run('status', '--json'));
  assert.ok(found !== undefined);
  return found;
}

async function until(what: string, check: (status: Status) => boolean): Promise<Status> {
  for (const since = performance.now(); ; await sleep(100)) {
    const found = await status();
    if (check(found)) return found;
    assert.ok(performance.now() - since < deadlineMs, `never ${what}: ${JSON.stringify(found, null, 1)}`);
  }
}

async function load(): Promise<number> {
  objectsOf(await node.run('load', '/source', '--wait', '--json'));
  const used = (await status()).devices[0]?.usedBytes ?? 0;
  assert.ok(used > 10_000_000, `${used} bytes are used`);
  return used;
}

test('an idle client lets go of what was given up, and its room comes back while it lives', async () => {
  await load();
  await using reader = await disposable(idleReader());
  objectsOf(await node.run('free', '/source', '--json'));
  const { devices } = await until('let go', ({ devices: [device] }) => device?.usedBytes === 0);
  assert.equal(devices[0]?.heldBytes, 0);
  assert.equal(reader.child.exitCode, null, 'the client runs');
});

test('what a stopped client maps counts as used, under its pid, until it goes on', async () => {
  const used = await load();
  await using reader = await disposable(idleReader());
  reader.child.kill('SIGSTOP');
  objectsOf(await node.run('free', '/source', '--json'));
  const held = await until('held', ({ holders }) => holders.length > 0);
  const [holder] = held.holders;
  assert.ok(holder !== undefined && held.devices[0] !== undefined);
  const { bytes, pid, isStopped, program } = holder;
  assert.deepEqual([pid, isStopped], [reader.child.pid, true]);
  assert.match(program, /node/u);
  assert.ok(bytes > 0 && bytes <= used, `${bytes} of ${used}`);
  assert.deepEqual([held.devices[0].heldBytes, held.devices[0].usedBytes], [bytes, bytes]);
  assert.equal(held.cache.records, 0);
  const { stdout } = await node.run('status');
  assert.match(stdout, new RegExp(`pid ${pid} \\(stopped\\)`, 'u'));

  reader.child.kill('SIGCONT');
  const later = await until('let go', ({ devices: [device] }) => device?.usedBytes === 0);
  assert.deepEqual([later.holders, later.devices[0]?.heldBytes], [[], 0]);
});

test('a client that is killed holds nothing any more', async () => {
  await load();
  await using reader = await disposable(idleReader());
  reader.child.kill('SIGSTOP');
  objectsOf(await node.run('free', '/source', '--json'));
  await until('held', ({ holders }) => holders.length > 0);
  reader.child.kill('SIGKILL');
  await until('let go', ({ devices: [device], holders }) => device?.usedBytes === 0 && holders.length === 0);
});

async function disposable<T extends ChildProcess>(
  starting: Promise<T>,
): Promise<AsyncDisposable & { readonly child: T }> {
  const child = await starting;
  return {
    child,
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
}
