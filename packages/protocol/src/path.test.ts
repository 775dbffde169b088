import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { bytesOfName, nameOfBytes } from './name.ts';
import {
  comparePaths,
  isBelow,
  joinPath,
  keyOfPath,
  nameOf,
  parentOf,
  parsePath,
  pathBelow,
  pathBytesMax,
  pathOfKey,
  urlOfPath,
} from './path.ts';

interface Vectors {
  readonly names: readonly { readonly hex: string; readonly name: string }[];
  readonly keys: readonly { readonly hex: string; readonly path: string }[];
  readonly normal: readonly { readonly text: string; readonly path: string }[];
  readonly invalid: readonly string[];
  readonly ordered: readonly string[];
}

const vectors = JSON.parse(
  readFileSync(new URL('../../../test/vectors/paths.json', import.meta.url), 'utf8'),
) as Vectors;

const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** Bytes that meet the encoding's special cases far more often than uniform ones would. */
const awkwardBytes = fc
  .array(
    fc.oneof(
      fc.uint8Array({ maxLength: 4 }),
      fc
        .constantFrom(
          '%',
          '%2',
          '%25',
          '%2E',
          '%2F',
          '%80',
          '%fF',
          '/',
          '//',
          '.',
          '..',
          'a',
          'ä',
          '€',
          '😀',
          '\n',
          '\0',
        )
        .map((text) => new TextEncoder().encode(text)),
    ),
    { maxLength: 8 },
  )
  .map((parts) => new Uint8Array(Buffer.concat(parts)));

test('golden vectors: names, keys and paths', () => {
  for (const { hex, name } of vectors.names) {
    assert.equal(nameOfBytes(Buffer.from(hex, 'hex')), name, hex);
    assert.equal(hexOf(bytesOfName(name)), hex, name);
  }
  for (const { hex, path } of vectors.keys) {
    assert.equal(pathOfKey(Buffer.from(hex, 'hex')), path, hex);
    assert.equal(hexOf(keyOfPath(path)), hex, path);
  }
  for (const { text, path } of vectors.normal) assert.equal(parsePath(text), path, text);
  for (const text of vectors.invalid) assert.throws(() => parsePath(text), { code: 'invalid' }, text);
  assert.deepEqual([...vectors.ordered].sort(comparePaths), vectors.ordered);
});

test('every byte string has one name, which holds no slash and is no . or ..', () => {
  fc.assert(
    fc.property(awkwardBytes, (bytes) => {
      const name = nameOfBytes(bytes);
      assert.equal(hexOf(bytesOfName(name)), hexOf(bytes));
      assert.ok(!name.includes('/') && name !== '.' && name !== '..', name);
      assert.equal(name, Buffer.from(name, 'utf8').toString('utf8'), 'is well-formed');
    }),
    { numRuns: 5000 },
  );
});

test('every source key has one path, in normal form', () => {
  fc.assert(
    fc.property(awkwardBytes, (key) => {
      const path = pathOfKey(key);
      assert.equal(hexOf(keyOfPath(path)), hexOf(key));
      assert.equal(parsePath(`/${path}`), `/${path}`);
    }),
    { numRuns: 5000 },
  );
});

test('whatever parses is in normal form and stays so', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        awkwardBytes.map((bytes) => `/${Buffer.from(bytes).toString()}`),
        fc.string(),
      ),
      (text) => {
        let path;
        try {
          path = parsePath(text);
        } catch (error) {
          assert.equal((error as { code?: string }).code, 'invalid');
          return;
        }
        assert.equal(parsePath(path), path);
        assert.equal(parsePath(urlOfPath(path)), path);
      },
    ),
    { numRuns: 5000 },
  );
});

test('paths compare as their UTF-8 bytes do', () => {
  const anyText = fc.string({ unit: 'grapheme', maxLength: 6 });
  fc.assert(
    fc.property(anyText, anyText, (left, right) => {
      assert.equal(Math.sign(comparePaths(left, right)), Buffer.compare(Buffer.from(left), Buffer.from(right)));
    }),
    { numRuns: 2000 },
  );
});

test('a path longer than its limit is invalid, counted in bytes', () => {
  assert.equal(parsePath(`/${'a'.repeat(pathBytesMax - 1)}`).length, pathBytesMax);
  assert.throws(() => parsePath(`/${'a'.repeat(pathBytesMax)}`), { code: 'invalid' });
  assert.throws(() => parsePath(`/${'€'.repeat(Math.ceil(pathBytesMax / 3))}`), { code: 'invalid' });
});

test('parents, names and ancestry', () => {
  assert.equal(joinPath('/', 'a'), '/a');
  assert.equal(joinPath('/a', 'b/c'), '/a/b/c');
  assert.deepEqual(['/a/b', '/a', '/'].map(parentOf), ['/a', '/', '/']);
  assert.deepEqual(['/a/b', '/a', '/'].map(nameOf), ['b', 'a', '']);
  assert.ok(isBelow('/a/b', '/a') && isBelow('/a', '/'));
  assert.ok(!isBelow('/ab', '/a') && !isBelow('/a', '/a') && !isBelow('/', '/') && !isBelow('/', '/a'));
  assert.equal(pathBelow('/a/b/c', '/a'), 'b/c');
  assert.equal(pathBelow('/a', '/'), 'a');
});
