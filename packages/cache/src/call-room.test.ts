import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import { test } from 'node:test';

import { HandClock } from '@millpool/host/testing';
import { MillpoolError } from '@millpool/protocol';

import { CallRoom } from './call-room.ts';

const roomBytes = 100;
const never = new AbortController().signal;

/** A room whose calls end when they are told to. */
class Bench {
  readonly clock = new HandClock();
  readonly ended = new Map<string, () => void>();
  readonly begun: string[] = [];
  unsentBytes = 0;
  isNear = false;
  readonly room = new CallRoom({
    bytes: roomBytes,
    clock: this.clock,
    unsentBytes: () => this.unsentBytes,
    heap: { wasNear: () => this.isNear, restore: () => (this.isNear = false) },
  });

  call(name: string, bytes: number, signal: AbortSignal = never): Promise<string> {
    return this.room.run(bytes, signal, (inTurn) => {
      this.begun.push(name);
      return new Promise((resolve, reject) => {
        this.ended.set(name, () => resolve(name));
        inTurn.addEventListener('abort', () => reject(inTurn.reason));
      });
    });
  }

  async end(name: string): Promise<void> {
    this.ended.get(name)?.();
    await turn();
  }
}

test('calls that find no room wait, and begin in the order in which they came', async () => {
  const bench = new Bench();
  const calls = [bench.call('a', 60), bench.call('b', 60), bench.call('c', 10)];
  assert.deepEqual(bench.begun, ['a'], 'c would find room, and b was there before');
  await bench.end('a');
  assert.deepEqual(bench.begun, ['a', 'b', 'c']);
  await bench.end('b');
  await bench.end('c');
  assert.deepEqual(await Promise.all(calls), ['a', 'b', 'c']);
});

test('a call that is larger than the room has it to itself', async () => {
  const bench = new Bench();
  const calls = [bench.call('a', 1), bench.call('huge', 1_000_000), bench.call('b', 1)];
  await bench.end('a');
  assert.deepEqual(bench.begun, ['a', 'huge']);
  await bench.end('huge');
  await bench.end('b');
  assert.deepEqual(await Promise.all(calls), ['a', 'huge', 'b']);
});

test('one that is given up while it waits leaves its place to the next', async () => {
  const bench = new Bench();
  const stop = new AbortController();
  const first = bench.call('a', 60);
  const second = bench.call('b', 100, stop.signal);
  const third = bench.call('c', 40);
  stop.abort();
  await assert.rejects(second, (error) => error instanceof MillpoolError && error.code === 'cancelled');
  assert.deepEqual(bench.begun, ['a', 'c']);
  await bench.end('a');
  await bench.end('c');
  assert.deepEqual(await Promise.all([first, third]), ['a', 'c']);
});

test('answers that nobody takes leave no room until somebody does', async () => {
  const bench = new Bench();
  bench.unsentBytes = roomBytes;
  const call = bench.call('a', 10);
  await bench.clock.advance(1_000);
  assert.deepEqual(bench.begun, []);
  bench.unsentBytes = 0;
  await bench.clock.advance(1_000);
  assert.deepEqual(bench.begun, ['a']);
  await bench.end('a');
  assert.equal(await call, 'a');
});

test('when the heap runs out the largest is given up, and its caller is told', async () => {
  const bench = new Bench();
  const small = bench.call('small', 10);
  const large = bench.call('large', 80);
  const told = assert.rejects(large, (error) => {
    assert(error instanceof MillpoolError && error.code === 'full', String(error));
    assert.match(error.message, /memory for calls ran out/);
    return true;
  });
  bench.isNear = true;
  await bench.clock.advance(1_000);
  await told;
  assert.equal(bench.isNear, false, 'the limit holds again');
  await bench.end('small');
  assert.equal(await small, 'small');
});
