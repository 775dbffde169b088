import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { parseLoaderState } from './loader-state.ts';

const text = readFileSync(new URL('../../../test/vectors/loader-state.json', import.meta.url), 'utf8');
const golden = JSON.parse(text) as Record<string, unknown>;

test('a state that another program wrote is read as what it says, and is under 1 kB', () => {
  const state = parseLoaderState(golden);
  assert.deepEqual(state, golden);
  assert.ok(Buffer.byteLength(JSON.stringify(state)) < 1000);
});

test('a field that is missing, of another type or of another version is named', () => {
  const wrong: Readonly<Record<string, readonly unknown[]>> = {
    format: ['millpool-loader-2', 1],
    orderVersion: [2, '1'],
    datasets: [[], [{ version: 'x', weight: 1 }], [golden['datasets'], golden['datasets']].flat(), 'all'],
    seed: [-1, 1.5, '7', 2 ** 60],
    epoch: [-1, Number.NaN],
    position: [-1, null],
    globalBatch: [0, -4],
    shuffle: [1, 'yes'],
    dropLast: [0, null],
  };
  assert.deepEqual(Object.keys(wrong), Object.keys(golden));
  for (const [field, values] of Object.entries(wrong)) {
    for (const value of [...values, undefined]) {
      const state = { ...golden, [field]: value };
      assert.throws(() => parseLoaderState(state), { code: 'invalid', message: new RegExp(`state's ${field} is`) });
    }
  }
  for (const value of [null, 7, 'text', []]) assert.throws(() => parseLoaderState(value), { code: 'invalid' });
});
