import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { open as openLmdb } from 'lmdb';
import { lmdbUnderTest } from '../testing/lmdb-under-test.ts';
import { always, coordStoreSuite, put } from '../testing/suite.ts';
import { openLmdbStore } from './lmdb-store.ts';

for (const { name, run } of coordStoreSuite) {
  test(`lmdb: ${name}`, { timeout: 60_000 }, async (t) => run(await lmdbUnderTest(t)));
}

test('a lease ends by the system clock too', { timeout: 60_000 }, async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'millpool-lease-'));
  const store = await openLmdbStore(directory);
  t.after(async () => {
    await store.close();
    rmSync(directory, { recursive: true });
  });
  // A timer of the store keeps no process alive: the test's own does.
  const awake = setInterval(() => {}, 1_000);
  t.after(() => clearInterval(awake));
  const lease = await store.grantLease(1);
  const { revision } = await store.txn(always(put('/a', '', lease.id)));
  const { signal } = new AbortController();
  for await (const change of store.watch({ prefix: '/a', fromRevision: revision + 1, signal })) {
    assert.deepEqual(change.events, [{ kind: 'delete', key: '/a' }]);
    break;
  }
});

test('a file that is no store, or of another format, is an error that names it', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'millpool-format-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const path = join(directory, 'coordination.mdb');
  const store = await openLmdbStore(directory);
  await store.close();
  const root = openLmdb<Buffer, Buffer>({ path, noSubdir: true, encoding: 'binary' });
  const numbers = root.openDB<Buffer, Buffer>({ name: 'numbers', encoding: 'binary', keyEncoding: 'binary' });
  await numbers.put(Buffer.from('format'), Buffer.from('0000000000000063', 'hex'));
  await root.close();
  await assert.rejects(openLmdbStore(directory), { code: 'unsupported', path });
  for (const content of ['x', 'not a store'.repeat(2_000)]) {
    writeFileSync(path, content);
    await assert.rejects(openLmdbStore(directory), { code: 'corrupt', path });
  }
  await assert.rejects(openLmdbStore(join(path, 'below a file')), { code: 'io' });
});

/** Writes pairs of keys with one number in one transaction, several at once, and says each number once acknowledged. */
const writer = `
  import { openLmdbStore } from ${JSON.stringify(new URL('./lmdb-store.js', import.meta.url).href)};
  const store = await openLmdbStore(process.argv[1], { historyRevisions: 20 });
  const value = (number) => Buffer.from(String(number).padStart(2000, '.'));
  let next = Number(process.argv[2]);
  const write = async () => {
    for (;;) {
      const number = next++;
      const op = (side) => ({ kind: 'put', key: '/' + side + '/' + number, value: value(number) });
      await store.txn({ compare: [], then: [op('left'), op('right')], otherwise: [] });
      process.stdout.write(number + '\\n');
    }
  };
  for (let writers = 0; writers < 4; writers += 1) write();`;

test('kill -9 in a loop: everything acknowledged is there, nothing is half done', { timeout: 120_000 }, async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'millpool-crash-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const acknowledged = new Set<string>();
  let next = 0;
  for (let round = 0; round < 6; round += 1) {
    const child = spawn(process.execPath, ['--input-type=module', '-e', writer, directory, String(next)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const exited = once(child, 'exit');
    const enough = acknowledged.size + 20 + round * 15;
    for await (const line of createInterface({ input: child.stdout })) {
      acknowledged.add(line);
      if (acknowledged.size === enough) child.kill('SIGKILL');
    }
    assert.deepEqual(await exited, [null, 'SIGKILL'], 'the fault was in force');

    const store = await openLmdbStore(directory, { historyRevisions: 20 });
    const numbersOf = async (side: string): Promise<Set<string>> => {
      const { entries } = await store.range({ prefix: `/${side}/`, limit: 100_000, after: null });
      for (const { key, value } of entries) {
        assert.equal(Buffer.from(value).toString().replace(/^\.+/, ''), key.slice(side.length + 2));
      }
      return new Set(entries.map(({ key }) => key.slice(side.length + 2)));
    };
    const left = await numbersOf('left');
    assert.deepEqual(left, await numbersOf('right'), 'no transaction is half done');
    for (const number of acknowledged)
      assert.ok(left.has(number), `${number} was acknowledged in or before round ${round}`);
    const { revision } = await store.range({ prefix: '', limit: 1, after: null });
    assert.equal(revision, left.size, 'one revision a transaction, none lost or counted twice');
    next = Math.max(...[...left].map(Number)) + 1;
    await store.close();
  }
});
