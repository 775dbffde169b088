import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatBytes, formatSize, parseBytes, parseSize } from './size.ts';

test('sizes with binary, decimal and no units', () => {
  const sizes: readonly [string, number][] = [
    ['0', 0],
    ['4096', 4096],
    ['1B', 1],
    ['1KiB', 1024],
    ['1kb', 1000],
    ['1.5 GiB', 1.5 * 2 ** 30],
    ['200GiB', 200 * 2 ** 30],
    [' 2tb ', 2e12],
    ['1PiB', 2 ** 50],
  ];
  for (const [text, bytes] of sizes) assert.equal(parseBytes(text), bytes, text);
  for (const text of ['', 'GiB', '-1', '1e3', '1 Gi', '1.', '.5', '0x10', '9999999PiB', '1GiB2', 'NaN', '90%']) {
    assert.throws(() => parseBytes(text), { code: 'invalid' }, text);
  }
});

test('a share of a device', () => {
  assert.deepEqual(parseSize('90%'), { kind: 'percent', percent: 90 });
  assert.deepEqual(parseSize('0.5 %'), { kind: 'percent', percent: 0.5 });
  assert.deepEqual(parseSize('1KiB'), { kind: 'bytes', bytes: 1024 });
  for (const text of ['0%', '101%', '-5%', '%']) assert.throws(() => parseSize(text), { code: 'invalid' }, text);
  assert.equal(formatSize({ kind: 'percent', percent: 90 }), '90%');
});

test('what is formatted parses back, to within a twentieth', () => {
  assert.deepEqual([0, 1023, 1024, 1536, 2 ** 40].map(formatBytes), ['0B', '1023B', '1KiB', '1.5KiB', '1TiB']);
  fc.assert(
    fc.property(
      fc
        .nat(2 ** 31 - 1)
        .map((nat) => nat ** 1.6)
        .map(Math.floor),
      (bytes) => {
        assert.ok(Math.abs(parseBytes(formatBytes(bytes)) - bytes) <= bytes / 20);
      },
    ),
  );
});
