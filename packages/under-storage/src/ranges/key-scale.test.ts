import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { createHash, randomInt } from 'node:crypto';
import { test } from 'node:test';

import { KeyScale } from './key-scale.ts';

const bytes = (text: string): Buffer => Buffer.from(text);

function scaleOf(keys: readonly string[]): KeyScale {
  const scale = new KeyScale();
  for (const key of keys) scale.learn(bytes(key));
  return scale;
}

test('of numbers that are counted it tells where one stands', () => {
  const keyOf = (number: number): string => `part-${String(number).padStart(7, '0')}.bin`;
  const scale = scaleOf([0, 250, 500, 750, 999].map(keyOf));
  const way = { one: bytes(keyOf(0)), other: bytes(keyOf(1_000)), times: 12 };
  const ahead = scale.ahead(bytes(keyOf(3_000)), way);
  assert.equal(ahead?.toString().slice(0, 12), keyOf(15_000).slice(0, 12));
});

test('of hashes it tells their share, also behind a first digit that was never a letter', () => {
  const hashes = Array.from({ length: 1_000 }, (_, i) => createHash('md5').update(String(i)).digest('hex')).sort();
  const scale = scaleOf(hashes.slice(0, 200));
  const way = { one: bytes(hashes[0] ?? ''), other: bytes(hashes[100] ?? ''), times: 8 };
  const ahead = scale.ahead(bytes(hashes[0] ?? ''), way)?.toString() ?? '';
  assert.ok(ahead > (hashes[650] ?? '') && ahead < (hashes[950] ?? ''), ahead);
});

test('what cannot be told is null', () => {
  const scale = scaleOf(['a1', 'a2']);
  const [one, other] = [bytes('a1'), bytes('a2')];
  assert.equal(scale.ahead(other, { one: other, other: one, times: 1 }), null);
  assert.equal(scale.ahead(other, { one, other: one, times: 1 }), null);
  assert.equal(scale.ahead(other, { one, other, times: 10_000 }), null);
  assert.equal(new KeyScale().ahead(one, { one, other, times: 1 }), null);
});

test('of any keys it tells a key behind the one it was asked for, or none', (context) => {
  const seed = randomInt(2 ** 31);
  context.diagnostic(`seed ${seed}`);
  let state = seed;
  const below = (limit: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return Math.floor((state / 2 ** 31) * limit);
  };
  const letters = ['a', 'b', 'F', '0', '7', '/', '-', 'é', '日', '\u{1f600}', '%'];
  const key = (): string => Array.from({ length: 1 + below(9) }, () => letters[below(letters.length)]).join('');
  for (let round = 0; round < 2_000; round += 1) {
    const keys = Array.from({ length: 1 + below(20) }, key);
    const [one = '', other = '', from = ''] = [key(), key(), key()];
    const guess = scaleOf(keys).ahead(bytes(from), {
      one: bytes(one),
      other: bytes(other),
      times: below(4_000) / 1_000,
    });
    if (guess === null) continue;
    assert.ok(Buffer.compare(guess, bytes(from)) > 0, `seed ${seed}`);
    assert.equal(Buffer.from(guess.toString()).compare(guess), 0, 'UTF-8');
  }
});
