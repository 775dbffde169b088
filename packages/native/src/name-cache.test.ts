import assert from 'node:assert/strict';
import { test } from 'node:test';

import { NameCache, NameTable } from './name-cache.ts';
import { EntryDealer } from './entry-dealer.ts';
import { unpackObjects } from './object-list.ts';

function record(size: number, tag: string): Buffer {
  const bytes = Buffer.alloc(17);
  bytes.writeDoubleBE(size, 1);
  return Buffer.concat([bytes, Buffer.from(tag)]);
}

function tableOf(names: readonly string[], tag: string): NameTable {
  const dealer = new EntryDealer([true]);
  names.forEach((name, size) => dealer.add(0, Buffer.from(name), record(size, tag)));
  dealer.end();
  const table = new NameTable(3, Buffer.from('key/'), names.length);
  for (const { value } of dealer.take()) table.add(value);
  return table;
}

test('what is found of a batch is a list of objects, and where each ends', () => {
  const cache = new NameCache(1e6);
  assert.equal(cache.put('/d', tableOf(['a', 'é'], 'm:9'), { generation: 1, freshUntilMs: Infinity }, 0), true);
  const { objects, ends, weak } = cache.find(['/d/é', '/d/no', '/d/a'], 5);
  const of = (name: string, size: number) => ({
    attachment: 3,
    size,
    tag: 'm:9',
    sourceKey: Uint8Array.from(Buffer.from(`key/${name}`)),
  });
  assert.deepEqual(unpackObjects(objects), [of('é', 1), of('a', 0)]);
  assert.deepEqual([...ends], [29, 29, 53]);
  assert.deepEqual(weak, [3]);
  assert.deepEqual([cache.find([], 5).objects.length, cache.find(['/d/a'], 5).ends.length], [4, 1]);
  assert.ok(cache.bytes > 0);
  cache.drop('/d');
  assert.equal(cache.bytes, 0);
});

test('a damaged block and a table that was given away are errors', () => {
  assert.throws(() => new NameTable(1, Buffer.alloc(0), 0).add(Buffer.from([0, 9, 0])), { code: 'corrupt' });
  const cache = new NameCache(1e6);
  const table = tableOf(['a'], 't');
  const freshness = { generation: 1, freshUntilMs: 1 };
  cache.put('/d', table, freshness, 0);
  assert.throws(() => cache.put('/e', table, freshness, 0), { code: 'invalid' });
  assert.throws(() => table.add(Buffer.alloc(0)), { code: 'invalid' });
});
