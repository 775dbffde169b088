import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MillpoolError } from '@millpool/protocol';
import { systemClock } from './clock.ts';
import { HandClock } from './testing/hand-clock.ts';

test('hand-turned timers ring in the order of their times, also those that a ring sets', async () => {
  const clock = new HandClock();
  const rung: string[] = [];
  clock.after(20, () => rung.push(`b at ${clock.monotonicMs()}`));
  clock.after(10, () => {
    rung.push(`a at ${clock.monotonicMs()}`);
    clock.after(5, () => rung.push(`nested at ${clock.monotonicMs()}`));
  });
  clock.after(10, () => rung.push('second of two at once'));
  clock.after(15, () => rung.push('cancelled')).cancel();
  clock.after(31, () => rung.push('too late'));
  await clock.advance(30);
  assert.deepEqual(rung, ['a at 10', 'second of two at once', 'nested at 15', 'b at 20']);
  assert.equal(clock.monotonicMs(), 30);
  assert.equal(clock.pending, 1);
});

for (const [name, clock] of [
  ['system', systemClock],
  ['hand', new HandClock()],
] as const) {
  test(`${name} clock: an aborted sleep rejects with our reason, or cancelled`, async () => {
    const stop = new AbortController();
    const asleep = clock.sleep(3_600_000, stop.signal);
    stop.abort(new MillpoolError({ code: 'closed', message: 'the daemon stops', remedy: '' }));
    await assert.rejects(asleep, { code: 'closed' });
    await assert.rejects(clock.sleep(3_600_000, stop.signal), { code: 'closed' });
    await assert.rejects(clock.sleep(3_600_000, AbortSignal.abort()), { code: 'cancelled' });
  });
}

test('hand clock: a sleeper wakes when its time has come, not before', async () => {
  const clock = new HandClock();
  let awake = false;
  const asleep = clock.sleep(100).then(() => (awake = true));
  await clock.advance(99);
  assert.equal(awake, false);
  await clock.advance(1);
  assert.equal(awake, true);
  await asleep;
});

test('the system clock goes on and never back', async () => {
  const before = systemClock.monotonicMs();
  await systemClock.sleep(1);
  assert.ok(systemClock.monotonicMs() >= before);
  assert.ok(systemClock.nowMs() > Date.UTC(2020));
});
