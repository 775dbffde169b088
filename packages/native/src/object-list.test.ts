import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { countObjects, packObjects, unpackObjects } from './object-list.ts';

test('a packed object has the bytes of docs/formats.md', () => {
  const list = packObjects([{ attachment: 7, sourceKey: Buffer.from('a/b'), size: 513, tag: '"e"' }]);
  // The same as `golden_list` in native/flow/src/object_list.rs.
  assert.equal(Buffer.from(list).toString('latin1'), '\x01\0\0\0\x07\0\0\0\x01\x02\0\0\0\0\0\0\x03\0"e"\x03\0a/b');
});

const entry = fc.record(
  {
    attachment: fc.nat(0xffffffff),
    sourceKey: fc.uint8Array({ maxLength: 60 }),
    size: fc.maxSafeNat(),
    tag: fc.string({ unit: 'grapheme', maxLength: 20 }),
  },
  { noNullPrototype: true },
);

test('unpacking undoes packing', () => {
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 20 }), (entries) => {
      const list = packObjects(entries);
      assert.equal(countObjects(list), entries.length);
      assert.deepEqual(unpackObjects(list), entries);
    }),
  );
});

test('a list cut anywhere, or too long, is refused', () => {
  const whole = packObjects([{ attachment: 1, sourceKey: Buffer.from('key'), size: 5, tag: '"e"' }]);
  for (let length = 0; length < whole.length; length += 1) {
    assert.throws(() => unpackObjects(whole.subarray(0, length)), { code: 'invalid' });
  }
  assert.throws(() => unpackObjects(Buffer.concat([whole, Buffer.alloc(1)])), { code: 'invalid' });
});

test('what does not fit is refused', () => {
  const good = { attachment: 1, sourceKey: new Uint8Array(3), size: 5, tag: '' };
  for (const bad of [{ size: -1 }, { size: 0.5 }, { tag: 'x'.repeat(1025) }, { sourceKey: new Uint8Array(65_536) }]) {
    assert.throws(() => packObjects([{ ...good, ...bad }]), { code: 'invalid' });
  }
});
