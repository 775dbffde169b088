import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';
import { pack } from 'msgpackr';

import { EntryPacker, unpackEntries } from './packed-entries.ts';
import { LayoutVector } from './testing/layout-vector.ts';

test('entries that another program packed are read as what they say', () => {
  assert.deepEqual(unpackEntries(LayoutVector.named('packed-entries').bytes), [
    { path: '/train/ä😀', type: 'directory', size: 0, mtimeMs: null, tag: '' },
    { path: '/train/b/c.jpg', type: 'file', size: 2 ** 45, mtimeMs: 1_700_000_000_123, tag: '"x"' },
  ]);
});

test('entries come back as they were, in their order, under the path that was listed', () => {
  const entry = fc.record({
    name: fc.string({ unit: 'grapheme', minLength: 1 }),
    type: fc.constantFrom('file', 'directory'),
    size: fc.nat({ max: Number.MAX_SAFE_INTEGER }),
    mtimeMs: fc.option(fc.maxSafeInteger().map((nanoseconds) => nanoseconds / 1_000_000)),
    tag: fc.string(),
  });
  fc.assert(
    fc.property(fc.constantFrom('/', '/a', '/a/b c'), fc.array(entry), (path, entries) => {
      const packer = new EntryPacker(path);
      for (const { name, ...fields } of entries) packer.add(name, fields);
      assert.equal(packer.count, entries.length);
      const before = path === '/' ? path : `${path}/`;
      const expected = entries.map(({ name, ...fields }) => ({ path: before + name, ...fields }));
      assert.deepEqual(unpackEntries(packer.packed()), expected);
    }),
  );
});

test('what is no packed entries is refused', () => {
  for (const value of [null, 3, {}, [], ['/a', 'b'], ['/a', 'b', 7, 0, null, '']]) {
    assert.throws(() => unpackEntries(pack(value)), { code: 'invalid' }, JSON.stringify(value));
  }
});
