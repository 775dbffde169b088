import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { LayoutVector } from '@millpool/protocol/testing';
import { open } from 'lmdb';
import { unpack } from 'msgpackr';

import { always, put } from '../testing/suite.ts';
import { openLmdbStore } from './lmdb-store.ts';

/** The rows of a table, read by LMDB alone. */
async function rowsOf(directory: string, table: string): Promise<[key: Buffer, value: Buffer][]> {
  const path = join(directory, 'coordination.mdb');
  const root = open<Buffer, Buffer>({ path, noSubdir: true, encoding: 'binary', readOnly: true });
  const rows = root.openDB<Buffer, Buffer>({ name: table, encoding: 'binary', keyEncoding: 'binary' });
  const found = [...rows.getRange({ start: Buffer.of(0) })].map(({ key, value }): [Buffer, Buffer] => [key, value]);
  await root.close();
  return found;
}

test('rows have the bytes of docs/formats.md', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'millpool-layouts-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const store = await openLmdbStore(directory);
  await store.grantLease(60);
  const lease = await store.grantLease(60);
  await store.txn(always(put('/a', 'one')));
  await store.txn(always(put('/a', 'two'), put('/b', 'three', lease.id)));
  await store.close();

  const [leased, history, number] = ['leased-key', 'history-key', 'number'].map((name) =>
    LayoutVector.named(`coordination-${name}`),
  );
  assert.deepEqual(await rowsOf(directory, 'leased'), [[leased?.bytes, Buffer.of()]]);
  const keys = (await rowsOf(directory, 'history')).map(([key]) => key);
  assert.deepEqual(keys.at(-1), history?.bytes);
  const numbers = new Map((await rowsOf(directory, 'numbers')).map(([name, value]) => [name.toString(), value]));
  assert.deepEqual(numbers.get('revision'), number?.bytes);
  assert.deepEqual([...numbers.keys()].toSorted(), ['format', 'lease-last', 'lease/1', 'lease/2', 'revision']);
  const entries = (await rowsOf(directory, 'entries')).map(([key, value]) => [key.toString(), unpack(value)]);
  assert.deepEqual(entries, [
    ['/a', [1, 2, 2, null, Buffer.from('two')]],
    ['/b', [2, 2, 1, 2, Buffer.from('three')]],
  ]);
});
