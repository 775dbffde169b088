import assert from 'node:assert/strict';
import { test } from 'node:test';

import { LineProcess } from './line-process.ts';

const script = (text: string): readonly string[] => [process.execPath, '-e', text];

const lapper = `
  console.log('here');
  require('node:readline').createInterface({ input: process.stdin }).on('line', (line) =>
    console.log(JSON.stringify({ samples: Number(line), seconds: 2, cpuSeconds: 1 })));`;

test('a program greets, runs a lap for each line, and ends with its stdin', async () => {
  const program = await LineProcess.start(script(lapper));
  assert.equal(program.greeting, 'here');
  assert.deepEqual(await program.lap('5'), { samples: 5, seconds: 2, cpuSeconds: 1 });
  await assert.rejects(program.lap('0'), /answered \{"samples":0/);
  await program[Symbol.asyncDispose]();
  assert.throws(() => process.kill(program.pid, 0), { code: 'ESRCH' });
  await program[Symbol.asyncDispose]();
});

test('one that ends says why', async () => {
  await assert.rejects(LineProcess.start(script('console.error("no room"); process.exit(3)')), /ended: no room$/);
  await assert.rejects(LineProcess.start(['/no/such/program']), /ended: .*ENOENT/);
});

test('a signal ends it in the middle of a lap', async () => {
  const stop = new AbortController();
  const program = await LineProcess.start(script('console.log(1); process.stdin.resume()'), { signal: stop.signal });
  const lap = assert.rejects(program.lap('1'), /ended/);
  stop.abort();
  await lap;
  await program[Symbol.asyncDispose]();
});
