import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';

const root = resolve(import.meta.dirname, '../../..');
const daysUnused = {
  'python-3.11.7-0123456789ab': 1,
  'python-3.11.7-1123456789ab': 13,
  'python-3.11.7-2123456789ab': 15,
  'python-3.12.1-0123456789ab': 30,
  'python-3.12.1-1123456789ab': 40,
  'python-3.13.0-0123456789ab-cutoff': 20,
  'torch-0123456789ab': 99,
};

test('Python environments unused for long go, and of each version the newest whole one stays', (t) => {
  const caches = mkdtempSync(join(tmpdir(), 'millpool-environments-'));
  t.after(() => rmSync(caches, { recursive: true }));
  for (const [name, days] of Object.entries(daysUnused)) {
    mkdirSync(join(caches, name));
    const used = new Date(Date.now() - days * 86_400_000);
    utimesSync(join(caches, name), used, used);
  }
  const script = `
    import { removeUnused } from './deploy/unused-environments.mjs';
    removeUnused(process.argv.at(-1));
  `;
  const args = ['--input-type=module', '-e', script, '--', caches];
  const { status, stderr } = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' });
  assert.deepEqual({ status, stderr }, { status: 0, stderr: '' });
  assert.deepEqual(readdirSync(caches).sort(), [
    'python-3.11.7-0123456789ab',
    'python-3.11.7-1123456789ab',
    'python-3.12.1-0123456789ab',
    'torch-0123456789ab',
  ]);
});
