import assert from 'node:assert/strict';
import { test } from 'node:test';

import { hashName } from './name-hash.ts';

test('the hash is MurmurHash3 of 32 bits with seed 0', () => {
  const known: readonly (readonly [string, number])[] = [
    ['', 0],
    ['a', 0x3c2569b2],
    ['abc', 0xb3dd93fa],
    ['hello', 0x248bfa47],
    ['hello, world', 0x149bbb7f],
    ['The quick brown fox jumps over the lazy dog', 0x2e4ff723],
  ];
  for (const [name, hash] of known) {
    assert.equal(hashName(Buffer.from(name)).toString(16), hash.toString(16), name);
  }
});

test('names that count up fall evenly into partitions', () => {
  const counts = Array.from({ length: 64 }, () => 0);
  for (let index = 0; index < 64_000; index += 1) {
    const partition = hashName(Buffer.from(`image_${index}.jpg`)) & 63;
    counts[partition] = (counts[partition] ?? 0) + 1;
  }
  assert.ok(Math.max(...counts) < 1_150 && Math.min(...counts) > 850, counts.join(' '));
});
