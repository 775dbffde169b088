import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MillpoolError } from '@millpool/protocol';
import { withDeadline } from './deadline.ts';
import { HandClock } from './testing/hand-clock.ts';

const never = (): Promise<never> => new Promise(() => {});

test('a wait that ends in time is what its work says, and leaves no timer', async () => {
  const clock = new HandClock();
  const wait = { name: 'an answer', timeoutMs: 5_000, clock };
  assert.equal(await withDeadline(wait, async () => 7), 7);
  await assert.rejects(
    withDeadline(wait, async () => Promise.reject(new RangeError('mine'))),
    RangeError,
  );
  assert.equal(clock.pending, 0);
});

test('a wait that ends late says for what it waited and how long, also when its work does not listen', async () => {
  const clock = new HandClock();
  let seen: unknown;
  const waiting = withDeadline({ name: 'the source', timeoutMs: 5_000, clock }, (signal) => {
    signal.addEventListener('abort', () => (seen = signal.reason));
    return never();
  });
  const rejected = assert.rejects(waiting, { code: 'timeout', message: 'waited 5s for the source' });
  await clock.advance(5_000);
  await rejected;
  assert.ok(seen instanceof MillpoolError && seen.code === 'timeout');
});

test('whoever gives up is told so, and the work too', async () => {
  const clock = new HandClock();
  const stop = new AbortController();
  const waiting = withDeadline({ name: 'x', timeoutMs: 5_000, clock, signal: stop.signal }, never);
  stop.abort();
  await assert.rejects(waiting, { code: 'cancelled' });
  await assert.rejects(withDeadline({ name: 'x', timeoutMs: 5_000, clock, signal: stop.signal }, never), {
    code: 'cancelled',
  });
  assert.equal(clock.pending, 0);
});
