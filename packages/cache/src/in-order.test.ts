import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { inOrder } from './in-order.ts';

async function* numbers(count: number): AsyncGenerator<number> {
  for (let i = 0; i < count; i += 1) yield i;
}

test('items come in order, however their work ends, and never more than so many are under way', async () => {
  let [running, most] = [0, 0];
  const work = async (item: number): Promise<void> => {
    running += 1;
    most = Math.max(most, running);
    await sleep(item % 3);
    running -= 1;
  };
  const seen: number[] = [];
  for await (const item of inOrder(numbers(50), 4, work)) seen.push(item);
  assert.deepEqual(seen, [...Array(50).keys()]);
  assert.equal(most, 4);
});

test('a failure is thrown in its turn, and what else was begun has ended by then', async () => {
  let running = 0;
  const work = async (item: number): Promise<void> => {
    running += 1;
    await sleep(item === 5 ? 0 : 5);
    running -= 1;
    if (item === 5) throw new Error('five');
  };
  const seen: number[] = [];
  await assert.rejects(async () => {
    for await (const item of inOrder(numbers(50), 4, work)) seen.push(item);
  }, /five/);
  assert.deepEqual(seen, [0, 1, 2, 3, 4]);
  assert.equal(running, 0);
});

test('who stops reading waits for what was begun', async () => {
  let running = 0;
  const work = async (): Promise<void> => {
    running += 1;
    await sleep(3);
    running -= 1;
  };
  for await (const item of inOrder(numbers(50), 4, work)) if (item === 2) break;
  assert.equal(running, 0);
});
