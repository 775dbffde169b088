import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { asMillpoolError, errorCodeOf, errorTable, isErrorCode, MillpoolError } from './errors.ts';

const repositoryFile = (path: string): string => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8');

const table = Object.entries(errorTable).map(([name, row]) => ({ name, ...row }));

test('the native core has the same codes with the same numbers', () => {
  const rust = repositoryFile('native/core/src/error.rs');
  const numbers = new Map(
    [...rust.matchAll(/^ {4}(\w+) = (\d+),$/gm)].map(([, variant, number]) => [variant, Number(number)]),
  );
  const names = [...rust.matchAll(/^ +Code::(\w+) => "([a-z-]+)",$/gm)];
  assert.deepEqual(
    names.map(([, variant, name]) => [name, numbers.get(variant)]),
    table.map(({ name, number }) => [name, number]),
  );
});

test('docs/errors.md has each code under a heading, with its number, exit code, meaning and remedy', () => {
  const sections = repositoryFile('docs/errors.md').split(/^## /m).slice(1);
  const described = sections.map((section) => {
    const [, name, number, exit, retryable] =
      /^([a-z-]+)\n\nnumber: (\d+) · exit code: (\d+) · retryable: (yes|no)\n\n\S.+\n\n\*\*Remedy\.\*\* \S/.exec(
        section,
      ) ?? assert.fail(`not the form of a code: ${section.slice(0, 80)}`);
    return { name, number: Number(number), exit: Number(exit), retryable: retryable === 'yes' };
  });
  assert.deepEqual(described, table);
});

test('docs/troubleshooting.md names no code that there is not', () => {
  const rows = [...repositoryFile('docs/troubleshooting.md').matchAll(/^\|[^|]*\| `?([a-z–-]+)`? \|/gm)];
  const codes = rows.map(([, code = '']) => code).filter((code) => !['–', 'code', '---'].includes(code));
  assert.ok(codes.length > 10);
  assert.deepEqual(
    codes.filter((code) => !isErrorCode(code)),
    [],
  );
});

test('numbers, names and shapes lead back to the same error', () => {
  for (const { name, number } of table) {
    assert.equal(errorCodeOf(number), name);
    assert.ok(isErrorCode(name));
  }
  assert.equal(errorCodeOf(999), 'internal');
  assert.ok(!isErrorCode('constructor') && !isErrorCode(7));
  const shape = { code: 'full', message: 'm', remedy: 'r', path: '/p' } as const;
  assert.deepEqual(new MillpoolError(shape).shape, shape);
  const bare = new MillpoolError({ code: 'full', message: 'm', remedy: 'r' });
  assert.deepEqual(Object.keys(bare.shape), ['code', 'message', 'remedy']);
  const cause = new TypeError('x');
  assert.equal(asMillpoolError(cause).cause, cause);
  assert.equal(asMillpoolError('text').message, 'text');
  const own = new MillpoolError(shape);
  assert.equal(asMillpoolError(own), own);
});
