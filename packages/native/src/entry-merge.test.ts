import assert from 'node:assert/strict';
import { test } from 'node:test';

import { unpackEntries } from '@millpool/protocol';

import { EntryDealer } from './entry-dealer.ts';
import { BlockPacker, EntryMerge, PackedPage } from './entry-merge.ts';

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
  const merge = new EntryMerge({ class: plainFile, name: Buffer.from('a') });
  const page = new PackedPage('/d');
  merge.open([directory, plainFile]);
  assert.deepEqual(merge.take(9, page), { wants: 0 });
  merge.put(0, blockOf(directory, ['a', 'b', 'é']));
  assert.deepEqual(merge.take(9, page), { wants: 1 });
  merge.put(1, blockOf(plainFile, ['a', 'b', 'c']));
  assert.equal(merge.take(2, page), 'enough');
  assert.deepEqual(merge.last, { class: plainFile, name: Buffer.from('b') });
  assert.deepEqual(merge.take(9, page), { wants: 1 });
  merge.put(1, null);
  assert.deepEqual(merge.take(9, page), { wants: 0 });
  merge.put(0, null);
  assert.equal(merge.take(9, page), 'over');
  assert.deepEqual([page.count, merge.taken], [4, 4]);
  assert.deepEqual(
    unpackEntries(page.packed()).map(({ path, type, mtimeMs }) => `${path} ${type} ${mtimeMs}`),
    ['/d/b directory null', '/d/b file null', '/d/c file null', '/d/é directory null'],
  );
  assert.throws(() => page.packed(), { code: 'invalid' });
});

test('what is no block is corrupt, and what no stream wants is refused', () => {
  const merge = new EntryMerge(null);
  merge.open([plainFile]);
  assert.throws(() => merge.put(0, Buffer.of(0, 9, 1)), { code: 'corrupt' });
  assert.throws(() => merge.put(1, null), { code: 'invalid' });
});

test('streams become blocks, of all names or of a part of them, and those are dealt out as they come', () => {
  const names = Array.from({ length: 3_000 }, (_, at) => String(at).padStart(6, '0'));
  const parts = [0, 1].map((index) => {
    const merge = new EntryMerge(null);
    const packer = new BlockPacker({ count: 2, index });
    merge.open([plainFile]);
    assert.deepEqual(merge.take(2_500, packer), { wants: 0 });
    merge.put(0, blockOf(plainFile, names.slice(0, 300)));
    assert.deepEqual(merge.take(2_500, packer), { wants: 0 });
    merge.put(0, null);
    assert.equal(merge.take(0, packer), 'over');
    const blocks = packer.blocks();
    const dealer = new EntryDealer([true, true]);
    let last: Uint8Array = Buffer.alloc(0);
    for (const block of blocks) last = dealer.addBlock(plainFile, block, last);
    assert.throws(() => dealer.addBlock(plainFile, blocks[0] ?? last, last), { code: 'corrupt' });
    const counts = [...dealer.counts()];
    assert.equal(counts[1 - index], 0, 'a part is what a partition has');
    return counts[index] ?? 0;
  });
  assert.equal((parts[0] ?? 0) + (parts[1] ?? 0), 300);
});
