import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { test } from 'node:test';

import { absentNames } from './documents.ts';
import { readRepository, Repository } from './repository.ts';

const repository = readRepository(resolve(import.meta.dirname, '../../..'));
const textOf = (path: string): string => repository.file(path)?.text ?? assert.fail(`no ${path}`);

test('each kind of name that is not there is found, and what is there is not', () => {
  const files: [string, string][] = [
    ['package.json', '{"scripts": {"build": "x"}}'],
    ['packages/cli/src/commands/up.ts', 'const segmentBytes = 1;\n'],
  ];
  const absent = (text: string): string[] =>
    absentNames(new Repository([...files, ['docs/a.md', text]])).map((finding) => finding.text);
  const wrong = ['packages/cli/src/gone.ts', 'packages/gone/', 'gone.rs', 'goneBytes', 'gone_bytes', 'npm run gone'];
  assert.deepEqual(absent([...wrong, 'millpool gone'].map((name) => `\`${name}\``).join(' ')), [
    ...wrong,
    'millpool gone',
  ]);
  const right = [
    'packages/cli/src/commands/up.ts',
    'packages/cli/',
    'up.ts',
    'x.test.ts',
    'segmentBytes',
    'a/b',
    '/x/y',
  ];
  const commands = ['npm run build', 'npm test -- tidy', 'millpool up', 'millpool --help', 'anything'];
  assert.deepEqual(absent([...right, ...commands].map((name) => `\`${name}\``).join(' ')), []);
});

test('the limits that the style states are those of the rules', () => {
  const limit = (name: string): string =>
    new RegExp(`const ${name} = (\\d+);`).exec(textOf('test/tidy/rules.ts'))?.[1] ?? '';
  const style = textOf('docs/style.md');
  for (const stated of [
    `At most ${limit('linesMax')} lines a file`,
    `${limit('functionLinesMax')} a function`,
    `Lines at most ${limit('columnsMax')} columns`,
  ]) {
    assert.ok(style.includes(stated), stated);
  }
});

test('the packages and crates that the architecture describes are those there are', () => {
  const folders = (pattern: RegExp): string[] =>
    repository.files.flatMap(({ path }) => pattern.exec(path)?.[1] ?? []).toSorted();
  const rows = (head: string): string[] => {
    const table = textOf('docs/architecture.md').split(`| ${head} |`)[1]?.split('\n\n')[0] ?? '';
    return Array.from(table.matchAll(/^\| ([\w-]+) \|/gm), ([, name = '']) => name).toSorted();
  };
  assert.deepEqual(rows('package | is | may import'), folders(/^packages\/([^/]+)\/package\.json$/));
  assert.deepEqual(rows('crate | is | needs'), folders(/^native\/([^/]+)\/Cargo\.toml$/));
});

test('the suites that a contributor is told of are those there are', () => {
  const suites = Array.from(textOf('deploy/test.mjs').matchAll(/\{\s*name: '(\w+)',/g), ([, name]) => name);
  const told = /# one suite: ([\w, ]+)/.exec(textOf('CONTRIBUTING.md'))?.[1]?.split(', ');
  assert.ok(suites.length > 0);
  assert.deepEqual(told, suites);
});
