import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MillpoolError } from '@millpool/protocol';
import type { ErrorCode } from '@millpool/protocol';
import { retry } from './retry.ts';
import type { RetryPolicy } from './retry.ts';
import { HandClock } from './testing/hand-clock.ts';

const fail = (code: ErrorCode): MillpoolError => new MillpoolError({ code, message: code, remedy: '' });

function policyOf(clock: HandClock, pauses: number[], random = 1 - Number.EPSILON): RetryPolicy {
  return {
    wait: { name: 'the bucket', timeoutMs: 60_000, clock },
    attemptsMax: 6,
    firstPauseMs: 100,
    pauseMsMax: 1_000,
    random: () => random,
    onRetry: ({ pauseMs }) => pauses.push(Math.round(pauseMs)),
  };
}

test('what may pass is tried again after pauses that double up to a limit', async () => {
  const clock = new HandClock();
  const pauses: number[] = [];
  let attempts = 0;
  const done = retry(policyOf(clock, pauses), async () => {
    attempts += 1;
    if (attempts < 6) throw fail('source-unavailable');
    return attempts;
  });
  await clock.advance(60_000);
  assert.equal(await done, 6);
  assert.deepEqual(pauses, [100, 200, 400, 800, 1_000]);
  assert.equal(clock.pending, 0);
});

test('pauses are a share of the longest one: full jitter', async () => {
  const clock = new HandClock();
  const pauses: number[] = [];
  const failed = assert.rejects(
    retry(policyOf(clock, pauses, 0.25), () => Promise.reject(fail('unreachable'))),
    { code: 'unreachable' },
  );
  await clock.advance(60_000);
  await failed;
  assert.deepEqual(pauses, [25, 50, 100, 200, 250]);
});

test('what another try cannot help is thrown at once', async () => {
  let attempts = 0;
  const refused = retry(policyOf(new HandClock(), []), () => {
    attempts += 1;
    return Promise.reject(fail('refused'));
  });
  await assert.rejects(refused, { code: 'refused' });
  await assert.rejects(
    retry(policyOf(new HandClock(), []), () => Promise.reject(new TypeError('x'))),
    { code: 'internal' },
  );
  assert.equal(attempts, 1);
});

test('the deadline ends it, in an attempt or in a pause', async () => {
  const clock = new HandClock();
  const hanging = assert.rejects(
    retry(policyOf(clock, []), () => new Promise(() => {})),
    {
      code: 'timeout',
      message: 'waited 1m for the bucket',
    },
  );
  const policy = { ...policyOf(clock, []), attemptsMax: 1_000, firstPauseMs: 50_000, pauseMsMax: 50_000 };
  const pausing = assert.rejects(
    retry(policy, () => Promise.reject(fail('timeout'))),
    { message: 'waited 1m for the bucket' },
  );
  await clock.advance(60_000);
  await Promise.all([hanging, pausing]);
  assert.equal(clock.pending, 0);
});
