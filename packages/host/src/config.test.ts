import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { formatOrigin, loadConfig } from './config.ts';
import { defaultSocket } from './place.ts';
import { settingNames, settingTable } from './setting-table.ts';
import type { SettingRow } from './setting-table.ts';

function fileWith(t: TestContext, content: string): string {
  const directory = mkdtempSync(join(tmpdir(), 'millpool-config-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const path = join(directory, 'config.json');
  writeFileSync(path, content);
  return path;
}

test('flag over environment over file over default, each with its origin', (t) => {
  const file = fileWith(
    t,
    JSON.stringify({ size: '10GiB', budgetBytes: '1GiB', dataDirectories: ['/f'], logLevel: 'warn' }),
  );
  const env = { MILLPOOL_SIZE: '20GiB', MILLPOOL_DATA: '/e1:/e2', MILLPOOL_LOG_LEVEL: '' };
  const { values, origins } = loadConfig({ flags: { size: '90%' }, env, file });
  assert.deepEqual(values.size, { kind: 'percent', percent: 90 });
  assert.deepEqual(values.dataDirectories, ['/e1', '/e2']);
  assert.equal(values.budgetBytes, 2 ** 30);
  assert.equal(values.logLevel, 'warn', 'an empty variable says nothing');
  assert.equal(values.extentDelayMs, 50);
  const said = (['size', 'dataDirectories', 'budgetBytes', 'extentDelayMs'] as const).map((name) =>
    formatOrigin(origins[name]),
  );
  assert.deepEqual(said, ['command line', 'MILLPOOL_DATA', file, 'default']);
  assert.ok(Object.isFrozen(values) && Object.isFrozen(origins));
});

test('the socket follows the runtime directory, and is where an SDK looks by default', () => {
  const env = { MILLPOOL_RUNTIME_DIRECTORY: '/somewhere' };
  const { values } = loadConfig({ flags: {}, env, file: null });
  assert.equal(values.socket, '/somewhere/millpool.sock');
  assert.equal(defaultSocket(env), values.socket);
});

test('an unknown key in a file is an error that names the nearest', (t) => {
  const file = fileWith(t, JSON.stringify({ datadirectory: '/x' }));
  assert.throws(() => loadConfig({ flags: {}, env: {}, file }), {
    code: 'invalid',
    message: /"dataDirectories"/,
    path: file,
  });
});

test('a wrong value is invalid, and says which setting, from where', (t) => {
  const load =
    (flags: object, env: Record<string, string>, file: string | null = null) =>
    () =>
      loadConfig({ flags, env, file });
  assert.throws(load({ size: 'big' }, {}), { code: 'invalid', message: /^size \(command line\): "big"/ });
  assert.throws(load({}, { MILLPOOL_POLICY: 'lru' }), { code: 'invalid', message: /^policy \(MILLPOOL_POLICY\)/ });
  assert.throws(load({}, { MILLPOOL_EXTENT_DELAY: '0ms' }), { code: 'invalid' });
  assert.throws(load({}, { MILLPOOL_EXTENT_DELAY: '50' }), { code: 'invalid', message: /duration/ });
  assert.throws(load({}, { MILLPOOL_METRICS: 'here' }), { code: 'invalid' });
  assert.throws(load({}, { MILLPOOL_METRICS: 'h:70000' }), { code: 'invalid' });
  assert.throws(load({ dataDirectories: [] }, {}), { code: 'invalid' });
  assert.throws(load({}, {}, fileWith(t, '{"budgetBytes": 5}')), { code: 'invalid', message: /units/ });
  assert.throws(load({}, {}, fileWith(t, '[]')), { code: 'invalid' });
  assert.throws(load({}, {}, fileWith(t, '{')), { code: 'invalid', message: /not JSON/ });
  assert.throws(load({}, {}, '/no/such/file'), { code: 'not-found', path: '/no/such/file' });
  assert.throws(load({}, { MILLPOOL_CONFIG: '/no/such/file' }), { code: 'not-found' });
});

test('every setting has one variable of its own and a line of words', () => {
  const variables = settingNames.map((name) => settingTable[name].env);
  assert.equal(new Set(variables).size, variables.length);
  for (const name of settingNames) {
    assert.match(settingTable[name].env, /^MILLPOOL_[A-Z_]+$/);
    assert.match(settingTable[name].doc, /^[^\n]{10,120}$/);
  }
});

test('what a setting is when nobody says anything can be written and read back', () => {
  const place = { dataDirectory: '/d', runtimeDirectory: '/r', configFile: '/c', memoryBytes: 2 ** 34 };
  for (const name of settingNames) {
    const { text, otherwise } = settingTable[name] as SettingRow<unknown>;
    const value = otherwise(place, {});
    if (value !== null) assert.deepEqual(text.parse([text.write(value as object)]), value, name);
  }
});
