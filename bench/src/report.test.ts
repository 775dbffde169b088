import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';

import { temporaryFolder } from '@millpool/test/harness';

import type { Result } from './figure.ts';
import { reportOf, table, verdict, writeReport } from './report.ts';

const machine = { cpus: 2, model: 'M', memoryBytes: 2 ** 33, kernel: '6', node: 'v20', rust: 'rustc 1' };
const result: Result = {
  id: 'warm-batch',
  variant: '100KiB',
  ours: 900,
  reference: 1000,
  ratio: 0.9,
  low: 0.86,
  high: 0.94,
  runs: 13,
  isVoid: false,
  cpuMicros: { ours: 11, reference: 10 },
  referenceName: 'a bare gather',
  unit: 'samples/s',
  goal: 0.85,
  higherIsBetter: true,
};

test('a goal is missed when the whole interval lies below it', () => {
  assert.equal(verdict(result), 'met');
  assert.equal(verdict({ ...result, goal: 0.94 }), 'met');
  assert.equal(verdict({ ...result, goal: 0.95 }), 'missed');
  assert.equal(verdict({ ...result, goal: null }), '');
  assert.equal(verdict({ ...result, isVoid: true }), 'void');
});

test('what is not of samples has no CPU time of one, and small times keep their digits', () => {
  const bytes = { ...result, unit: 'bytes', cpuMicros: null };
  assert.match(table(reportOf([bytes], machine, 'abc')), /^warm-batch\s+100KiB\s+900\s+1000\s+bytes\s+0\.90\s/m);
  const small = { ...result, cpuMicros: { ours: 1.256, reference: 0.4502 } };
  assert.match(table(reportOf([small], machine, 'abc')), /\s1\.26 \/ 0\.450\s/);
});

test('the report is written whole, and the table names what was not run and why', async () => {
  const beside = [{ name: 'first entry', value: 1.2345, unit: 'ms' }];
  const report = reportOf(
    [
      { ...result, beside },
      { id: 'cold-epoch', why: 'no root' },
    ],
    machine,
    'abc',
  );
  const shown = table(report);
  assert.match(
    shown,
    /^warm-batch\s+100KiB\s+900\s+1000\s+samples\/s\s+11 \/ 10\s+0\.90\s+0\.86–0\.94\s+13\s+0\.85\s+met$/m,
  );
  assert.match(shown, /^warm-batch 100KiB: first entry: 1\.23 ms$/m);
  assert.match(shown, /^cold-epoch: not run: no root$/m);
  const folder = await temporaryFolder('report');
  const file = join(folder.path, 'below', 'report.json');
  await writeReport(report, file);
  assert.deepEqual(JSON.parse(await readFile(file, 'utf8')), report);
  await folder.remove();
});

test('a figure that takes no time shows no CPU time', () => {
  const counted = { ...result, unit: 'bytes', cpuMicros: null };
  assert.match(table(reportOf([counted], machine, 'abc')), /900\s+1000\s+bytes\s+0\.90/);
});
