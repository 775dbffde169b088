import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import { test } from 'node:test';

const root = resolve(import.meta.dirname, '../../..');

function node(...args: readonly string[]): { readonly status: number | null; readonly said: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' });
  return { status, said: stdout + stderr };
}

test('the third-party notices are those of the lock files', () => {
  assert.deepEqual(node('deploy/notices.mjs', '--check'), { status: 0, said: '' });
});

const accepted = {
  MIT: ['MIT'],
  'Unlicense OR MIT': ['MIT'],
  'MIT/Apache-2.0': ['MIT'],
  'Apache-2.0 WITH LLVM-exception OR Apache-2.0': ['Apache-2.0'],
  'Apache-2.0 AND ISC': ['Apache-2.0', 'ISC'],
  '(GPL-3.0 OR MIT) AND BSD-3-Clause': ['MIT', 'BSD-3-Clause'],
};
const refused = ['GPL-3.0', 'MIT AND GPL-3.0', '(MIT', 'MIT)', 'SEE LICENSE IN LICENSE', ''];

test('a licence is taken where it is accepted, and refused otherwise', () => {
  const script = `
    import { licencesOf } from './deploy/licence.mjs';
    console.log(JSON.stringify(licencesOf(process.argv.at(-1))));
  `;
  const licences = (expression: string) => node('--input-type=module', '-e', script, '--', expression);
  for (const [expression, wanted] of Object.entries(accepted)) {
    assert.deepEqual(licences(expression), { status: 0, said: `${JSON.stringify(wanted)}\n` }, expression);
  }
  for (const expression of refused) assert.notEqual(licences(expression).status, 0, expression);
});
