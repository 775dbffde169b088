import assert from 'node:assert/strict';
import { test } from 'node:test';

import { LayoutVector } from '@millpool/protocol/testing';
import fc from 'fast-check';

import { countObjects, packObjects, spliceObjects, unpackObjects } from './object-list.ts';

test('an object list has the bytes of docs/formats.md', () => {
  const vector = LayoutVector.named('object-list');
  const objects = [0, 1].map((n) => ({
    attachment: vector.number(`object/${n}/attachment`),
    size: vector.number(`object/${n}/size`),
    tag: vector.part(`object/${n}/tag`).toString(),
    sourceKey: Uint8Array.from(vector.part(`object/${n}/source key`)),
  }));
  assert.deepEqual(Buffer.from(packObjects(objects)), vector.bytes);
  assert.deepEqual(unpackObjects(vector.bytes), objects);
  assert.equal(countObjects(vector.bytes), vector.number('object-list/0/objects'));
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

test('what is spliced into a list is in its place', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(entry, fc.boolean()), { maxLength: 20 }), (places) => {
      const kept = places.map(([object, isKept]) => (isKept ? [object] : []));
      const ends = Uint32Array.from(kept, (_, at) => packObjects(kept.slice(0, at + 1).flat()).length);
      const more = new Map(places.flatMap(([object, isKept], at) => (isKept ? [] : [[at, object] as const])));
      const spliced = spliceObjects(packObjects(kept.flat()), ends, more);
      assert.deepEqual(
        unpackObjects(spliced),
        places.map(([object]) => object),
      );
    }),
  );
});

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
