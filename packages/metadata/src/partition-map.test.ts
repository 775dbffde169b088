import assert from 'node:assert/strict';
import { test } from 'node:test';

import { MillpoolError } from '@millpool/protocol';
import fc from 'fast-check';

import {
  decodePartitionMap,
  encodePartitionMap,
  locate,
  movesTo,
  nextSplit,
  partitionsOf,
  placementOf,
  wholeMap,
  withChild,
} from './partition-map.ts';
import type { PartitionMap } from './partition-map.ts';

const shards = 1_024;
const hash = fc.integer({ min: 0, max: 2 ** 32 - 1 });

/** Maps as splits make them: each number picks the partition that is split next. */
const splitMap = fc.array(fc.nat(), { maxLength: 200 }).map((picks) => {
  let map = wholeMap(7);
  for (const pick of picks) {
    const present = partitionsOf(map);
    const split = nextSplit(map, present[pick % present.length] as number, shards);
    if (split !== null) map = withChild(map, split.child, placementOf(7, split.child, shards));
  }
  return map;
});

/** By the definition: the longest suffix of the hash's bits that is a partition. */
function locateSlowly(map: PartitionMap, of: number): number {
  for (let bits = 32; bits >= 0; bits -= 1) {
    const suffix = bits === 32 ? of : of % 2 ** bits;
    if (map.shards[suffix] !== undefined) return suffix;
  }
  return 0;
}

test('a name is in the deepest partition that the low bits of its hash name', () => {
  fc.assert(fc.property(splitMap, hash, (map, of) => assert.equal(locate(map, of), locateSlowly(map, of))));
});

test('a split moves exactly the names with the bits of the child, from the parent alone', () => {
  fc.assert(
    fc.property(splitMap, fc.nat(), fc.array(hash, { maxLength: 50 }), (map, pick, hashes) => {
      const present = partitionsOf(map);
      const parent = present[pick % present.length] as number;
      const split = nextSplit(map, parent, shards);
      if (split === null) return;
      const after = withChild(map, split.child, 3);
      for (const of of hashes) {
        const before = locate(map, of);
        const moves: boolean = before === parent && movesTo(split, of);
        assert.equal(locate(after, of), moves ? split.child : before);
      }
    }),
  );
});

test('splitting goes on until there is a partition a shard', () => {
  for (const places of [1, 2, 3, 8, 1_000, 1_024]) {
    let map = wholeMap(0);
    for (;;) {
      const split = partitionsOf(map)
        .map((partition) => nextSplit(map, partition, places))
        .find((found) => found !== null);
      if (split === undefined) break;
      map = withChild(map, split.child, placementOf(0, split.child, places));
    }
    assert.equal(partitionsOf(map).length, places);
  }
});

test('placement gives each partition a shard of its own, and spreads any power of two evenly', () => {
  for (const home of [0, 5, 1_023]) {
    const placed = Array.from({ length: shards }, (_, partition) => placementOf(home, partition, shards));
    assert.equal(placed[0], home);
    assert.equal(new Set(placed).size, shards);
    for (const count of [2, 16, 256]) {
      const slices = new Set(
        placed.slice(0, count).map((shard) => Math.floor(((shard - home + shards) % shards) / (shards / count))),
      );
      assert.equal(slices.size, count);
    }
  }
});

test('a map comes back from its bytes', () => {
  fc.assert(
    fc.property(splitMap, (map) => {
      const decoded = decodePartitionMap(encodePartitionMap(map), shards);
      assert.equal(decoded.version, map.version);
      assert.deepEqual([...decoded.shards.entries()], [...map.shards.entries()]);
    }),
  );
  assert.ok(encodePartitionMap(withAll()).length <= 6 + 128 + 2 * shards);
});

test('bytes that are no map are corrupt', () => {
  const good = Buffer.from(encodePartitionMap(withAll()));
  const isCorrupt = (error: unknown): boolean => error instanceof MillpoolError && error.code === 'corrupt';
  for (const length of [0, 5, 6, 100, good.length - 1]) {
    assert.throws(() => decodePartitionMap(good.subarray(0, length), shards), isCorrupt, `length ${length}`);
  }
  assert.throws(() => decodePartitionMap(Buffer.concat([good, Buffer.alloc(2)]), shards), isCorrupt);
  assert.throws(() => decodePartitionMap(good, shards / 2), isCorrupt);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      try {
        decodePartitionMap(bytes, shards);
      } catch (error) {
        assert.ok(isCorrupt(error), String(error));
      }
    }),
  );
});

function withAll(): PartitionMap {
  return { version: 1_023, shards: Array.from({ length: shards }, (_, partition) => partition) };
}
