import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';

import { HeapLimit } from './heap-limit.ts';

const MiB = 2 ** 20;
const limitBytes = 48 * MiB;
const reserveBytes = 64 * MiB;

/** Holds more and more until the limit is met, or far beyond it. */
function script(then: string): string {
  return `
    import { HeapLimit } from ${JSON.stringify(import.meta.resolve('@millpool/native'))};
    import { getHeapStatistics } from 'node:v8';
    const heap = HeapLimit.set(${limitBytes}, ${reserveBytes});
    const usedBytes = () => getHeapStatistics().used_heap_size;
    let held = [];
    const hold = () => { for (let i = 0; i < 1000; i += 1) held.push({ text: 'a' + held.length }); };
    while (!heap.wasNear() && usedBytes() < 2 ** 30) hold();
    const metAt = usedBytes();
    ${then}
  `;
}

function run(then: string): { readonly status: number | null; readonly out: string; readonly err: string } {
  const args = ['--input-type=module', '--eval', script(then)];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  return { status, out: stdout, err: stderr };
}

test('a heap that runs already gets a limit, and what was given up near it makes room again', () => {
  const { out, err } = run(`
    held = [];
    heap.restore();
    const again = heap.wasNear();
    while (!heap.wasNear() && usedBytes() < 2 ** 30) hold();
    console.log(JSON.stringify({ metAt, again, secondAt: usedBytes() }));
  `);
  assert.notEqual(out, '', err);
  const { metAt, again, secondAt } = JSON.parse(out) as { metAt: number; again: boolean; secondAt: number };
  // What was thrown away soon lies beside what lives long, up to three halves of the youngest generation.
  const mostBytes = limitBytes + reserveBytes + 48 * MiB;
  assert(metAt > limitBytes / 2 && metAt < mostBytes, `met at ${metAt}`);
  assert.equal(again, false);
  assert(secondAt > limitBytes / 2 && secondAt < mostBytes, `met again at ${secondAt}`);
});

test('who gives nothing up ends when the reserve is used too', () => {
  const { status, out, err } = run(`
    while (usedBytes() < 2 ** 30) hold();
    console.log('went on');
  `);
  assert.notEqual(status, 0);
  assert.equal(out, '');
  assert.match(err, /heap out of memory|heap limit/i);
});

test('limits that are none are refused', () => {
  assert.throws(() => HeapLimit.set(-1, 0), /bytes is -1/);
});
