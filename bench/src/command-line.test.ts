import assert from 'node:assert/strict';
import { test } from 'node:test';

import { parseCommandLine, usage } from './command-line.ts';
import { figures } from './figures.ts';

test('without names every figure is chosen, with names those', () => {
  const all = parseCommandLine([], figures);
  assert.deepEqual([all.chosen, all.all, all.jsonFile], [figures, true, null]);
  const some = parseCommandLine(['cold-epoch', '--json', 'out.json'], figures);
  assert.deepEqual([some.chosen.map(({ id }) => id), some.all, some.jsonFile], [['cold-epoch'], false, 'out.json']);
});

test('a word for many chooses those whose ids begin as it says', () => {
  const idsOf = (word: string): string[] => parseCommandLine([word], figures).chosen.map(({ id }) => id);
  assert.deepEqual(idsOf('metadata'), [
    'md-lookup',
    'md-vs-redis',
    'md-import',
    'md-hot',
    'md-hot/simulated',
    'md-failover',
    'md-move',
    'md-restart',
  ]);
  assert.ok(idsOf('python').length > 1 && idsOf('python').every((id) => id.startsWith('py-')));
});

test('an unknown figure or flag is an error that names what there is', () => {
  const code = 'invalid';
  assert.throws(() => parseCommandLine(['warm'], figures), { code, message: /no figure warm/, remedy: /warm-batch, / });
  assert.throws(() => parseCommandLine(['--fast'], figures), { code, message: /--fast/ });
});

test('ids are told apart, and the help has each', () => {
  const ids = figures.map(({ id }) => id);
  assert.equal(new Set(ids).size, ids.length);
  for (const id of ids) assert.ok(usage(figures).includes(`  ${id} `), id);
});
