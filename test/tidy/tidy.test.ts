import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { test } from 'node:test';

import { readRepository, Repository } from './repository.ts';
import { rules } from './rules.ts';

const root = resolve(import.meta.dirname, '../../..');
const repository = readRepository(root);

for (const rule of rules) {
  test(rule.name, () => {
    const findings = rule.find(repository).map(({ path, line, text }) => `${path}:${line}: ${text}`);
    assert.equal(findings.length, 0, `${findings.join('\n')}\n${rule.instead}`);
  });
}

const long = (lines: number): string => 'let x = 1;\n'.repeat(lines);
const manifest = JSON.stringify({ name: '@millpool/host', dependencies: { '@millpool/protocol': '1' } });

/** What each rule must find, so that none of them is a rule that cannot fail. */
const bad: Readonly<Record<string, readonly (readonly [string, string])[]>> = {
  'a file is at most 500 lines': [['packages/host/src/a.ts', long(501)]],
  'a function is at most 70 lines': [
    ['native/core/src/a.rs', `fn f() {\n${long(70)}}\n`],
    ['packages/python/src/millpool/a.py', `def f() -> None:\n${'    x = 1\n'.repeat(70)}`],
  ],
  'a function takes at most 4 parameters': [
    ['packages/host/src/a.ts', 'function f(a: A, b: B, c: C, d: D, e: E) {\n}\n'],
    ['packages/python/src/millpool/a.py', 'def f(a: A, b: B, c: C, d: D = (1, 2), e: E = 3) -> None:\n    pass\n'],
  ],
  'a line is at most 120 columns': [['packages/host/src/a.ts', `// ${'x'.repeat(118)}\n`]],
  'arrows between packages go one way': [['packages/protocol/src/a.ts', "import { a } from '@millpool/host';\n"]],
  'every import is declared': [
    ['packages/host/package.json', manifest],
    ['packages/host/src/a.ts', "import 'ws';\n"],
  ],
  'crates need only what is below them': [['native/core/Cargo.toml', 'millpool-flow.workspace = true\n']],
  'files import no cycle': [
    ['packages/host/src/a.ts', "import type { B } from './b.ts';\n"],
    ['packages/host/src/b.ts', "import type { A } from './a.ts';\n"],
  ],
  'modules of a crate use no cycle': [
    ['native/core/src/a.rs', 'use crate::b::{B, C};\n'],
    ['native/core/src/b.rs', 'use super::a::A;\n'],
  ],
  'modules of the Python package import no cycle': [
    ['packages/python/src/millpool/a.py', 'from millpool.b import B\n'],
    ['packages/python/src/millpool/b.py', 'from millpool import a\n'],
  ],
  'nobody reaches into a package': [['packages/host/src/a.ts', "import { x } from '../../protocol/src/x.ts';\n"]],
  'a package does not import its own index': [['packages/host/src/a.ts', "import { x } from './index.ts';\n"]],
  'testing/ is for tests': [['packages/host/src/a.ts', "import { x } from './testing/x.ts';\n"]],
  'exports are written out': [['packages/host/src/a.ts', "export * from './b.ts';\n"]],
  'only errors are thrown': [['packages/host/src/a.ts', "throw 'text';\n"]],
  'types are not escaped from': [['packages/host/src/a.ts', 'const a = b as any;\n']],
  'the compiler is not silenced': [['packages/host/src/a.ts', '// @ts-ignore\n']],
  'only the command speaks and ends': [
    ['packages/host/src/a.ts', "console.log('x');\n"],
    ['packages/python/src/millpool/a.py', 'print(1)\n'],
  ],
  'tests are neither skipped nor alone': [
    ['packages/host/src/a.test.ts', "test.only('x', f);\n"],
    ['packages/python/tests/test_a.py', '@pytest.mark.skip\n'],
  ],
  'nothing is left for later': [['native/core/src/a.rs', 'unimplemented!()\n']],
  'a name says what it is': [['packages/host/src/a.ts', 'class FooManager {}\n']],
  'folders and files are nouns': [['packages/host/src/utils.ts', '\n']],
  'a type has at most 6 optional fields': [
    ['packages/host/src/a.ts', `interface A {\n${[...'abcdefg'].map((name) => `  ${name}?: 1;\n`).join('')}}\n`],
  ],
  'documents name what is there': [['docs/a.md', 'see `old.ts`\n']],
  'documents cite names, not lines': [['docs/a.md', 'see cache.ts:12\n']],
};

test('every rule finds what it is there to find', () => {
  for (const rule of rules) {
    const files = bad[rule.name];
    assert.ok(files !== undefined, `${rule.name} has an example`);
    assert.ok(rule.find(new Repository(files)).length > 0, rule.name);
    assert.equal(
      rule.find(new Repository([['packages/host/src/fine.ts', 'export const a = 1;\n']])).length,
      0,
      rule.name,
    );
  }
});

test('rules of single files find each of their examples', () => {
  const ofSeveral = /cycle|declared|documents name/;
  for (const rule of rules.filter(({ name }) => !ofSeveral.test(name))) {
    for (const file of bad[rule.name] ?? []) assert.ok(rule.find(new Repository([file])).length > 0, file[0]);
  }
});

test('parameters that can only be named, and lines of a long text, are not counted in Python', () => {
  const own = `def f(self, a, b, c, d, *, e=1, g=2):\n    return """\n${'a\n'.repeat(30)}"""\n`;
  const text = `${own}\n\n${'x = 1\n'.repeat(60)}`;
  const file = [['packages/python/src/millpool/a.py', text]] as const;
  for (const rule of rules) assert.equal(rule.find(new Repository(file)).length, 0, rule.name);
});
