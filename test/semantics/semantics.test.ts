import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';

const root = resolve(import.meta.dirname, '../../..');

interface Statement {
  readonly number: number;
  readonly proofs: readonly { readonly path: string; readonly name: string }[];
}

/** The numbered statements of a document, each with the tests that its list names. */
function statementsOf(text: string): Statement[] {
  return text
    .split(/^(?=\d+\. )/m)
    .slice(1)
    .map((section) => ({
      number: Number.parseInt(section, 10),
      proofs: Array.from(section.matchAll(/^ +- `([^`]+)`: (.+)$/gm), ([, path = '', name = '']) => ({ path, name })),
    }));
}

/** Whether a source has a test of this name; a name that ends in `…` is the beginning of one. */
function hasTest(source: string, path: string, name: string): boolean {
  if (path.endsWith('.rs')) return new RegExp(`#\\[test\\]\\s+fn ${name}\\(`).test(source);
  if (path.endsWith('.py')) return new RegExp(`^def ${name}\\(`, 'm').test(source);
  const isBeginning = name.endsWith('…');
  const text = isBeginning ? name.slice(0, -1).trimEnd() : name;
  return ["'", '"', '`'].some((quote) => source.includes(`test(${quote}${text}${isBeginning ? '' : quote}`));
}

const statements = statementsOf(readFileSync(join(root, 'docs/semantics.md'), 'utf8'));

test('statements are numbered one after another, and each has a proof', () => {
  assert.deepEqual(
    statements.map(({ number }) => number),
    Array.from(statements.keys(), (n) => n + 1),
  );
  assert.deepEqual(
    statements.filter(({ proofs }) => proofs.length === 0).map(({ number }) => number),
    [],
  );
});

test('each proof is a test that there is', () => {
  const missing = statements.flatMap(({ number, proofs }) =>
    proofs
      .filter(({ path, name }) => {
        const file = join(root, path);
        return !existsSync(file) || !hasTest(readFileSync(file, 'utf8'), path, name);
      })
      .map(({ path, name }) => `${number}: ${path}: ${name}`),
  );
  assert.deepEqual(missing, []);
});

test('a proof that is gone is found', () => {
  const [statement] = statementsOf('# X\n\n1. A thing.\n   - `a.test.ts`: it holds\n   - `b.rs`: it_holds\n');
  assert.deepEqual(statement?.proofs, [
    { path: 'a.test.ts', name: 'it holds' },
    { path: 'b.rs', name: 'it_holds' },
  ]);
  assert.ok(hasTest("test('it holds', f);", 'a.test.ts', 'it holds'));
  assert.ok(hasTest('test(`it holds, ${n} times`, f);', 'a.test.ts', 'it holds, …'));
  assert.ok(!hasTest("test('it holds no more', f);", 'a.test.ts', 'it holds'));
  assert.ok(hasTest('#[test]\n    fn it_holds() {}', 'b.rs', 'it_holds'));
  assert.ok(!hasTest('fn it_holds() {}', 'b.rs', 'it_holds'));
  assert.ok(hasTest('def test_it_holds() -> None:', 'test_c.py', 'test_it_holds'));
  assert.ok(!hasTest('def test_it_holds_no_more() -> None:', 'test_c.py', 'test_it_holds'));
});
