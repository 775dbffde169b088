import assert from 'node:assert/strict';
import { test } from 'node:test';

import { unpackEntries } from '@millpool/protocol';

import { EntryDealer } from './entry-dealer.ts';
import { EntryMerge } from './entry-merge.ts';

const [plainFile, directory] = [0, 2];

function blockOf(kind: number, names: readonly string[]): Buffer {
  const dealer = new EntryDealer([true]);
  const record = Buffer.alloc(17);
  record.writeUInt8(kind === directory ? 1 : 0);
  record.writeDoubleBE(Number.NaN, 9);
  for (const name of names) dealer.add(kind, Buffer.from(name), record);
  dealer.end();
  const [{ value } = { value: Buffer.alloc(0) }] = dealer.take();
  return value;
}

test('streams become one page, behind an entry, in the order of names and directories first', () => {
  const merge = new EntryMerge('/d', { class: plainFile, name: Buffer.from('a') });
  merge.open([directory, plainFile]);
  assert.deepEqual(merge.take(9), { wants: 0 });
  merge.put(0, blockOf(directory, ['a', 'b', 'é']));
  assert.deepEqual(merge.take(9), { wants: 1 });
  merge.put(1, blockOf(plainFile, ['a', 'b', 'c']));
  assert.equal(merge.take(2), 'enough');
  assert.deepEqual(merge.last, { class: plainFile, name: Buffer.from('b') });
  assert.deepEqual(merge.take(9), { wants: 1 });
  merge.put(1, null);
  assert.deepEqual(merge.take(9), { wants: 0 });
  merge.put(0, null);
  assert.equal(merge.take(9), 'over');
  assert.equal(merge.count, 4);
  assert.deepEqual(
    unpackEntries(merge.packed()).map(({ path, type, mtimeMs }) => `${path} ${type} ${mtimeMs}`),
    ['/d/b directory null', '/d/b file null', '/d/c file null', '/d/é directory null'],
  );
  assert.throws(() => merge.packed(), { code: 'invalid' });
});

test('what is no block is corrupt, and what no stream wants is refused', () => {
  const merge = new EntryMerge('/d', null);
  merge.open([plainFile]);
  assert.throws(() => merge.put(0, Buffer.of(0, 9, 1)), { code: 'corrupt' });
  assert.throws(() => merge.put(1, null), { code: 'invalid' });
});
