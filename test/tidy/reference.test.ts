import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import { test } from 'node:test';

const root = resolve(import.meta.dirname, '../../..');

test('settings, commands and declarations in the documents are those of the sources', () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['deploy/reference.mjs', '--check'], {
    cwd: root,
    encoding: 'utf8',
  });
  assert.deepEqual({ status, said: stdout + stderr }, { status: 0, said: '' });
});
