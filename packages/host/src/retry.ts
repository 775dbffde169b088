import { asMillpoolError, errorTable } from '@millpool/protocol';
import type { MillpoolError } from '@millpool/protocol';
import { withDeadline } from './deadline.ts';
import type { Wait } from './deadline.ts';

export interface RetryPolicy {
  /** Over all attempts and the pauses between them; its name is for what all of them together wait. */
  readonly wait: Wait;
  readonly attemptsMax: number;
  /** The longest pause after the first failure; it doubles with each further one … */
  readonly firstPauseMs: number;
  /** … up to this. */
  readonly pauseMsMax: number;
  /** From 0 to 1, 1 excluded; Math.random where no test says otherwise. */
  readonly random: () => number;
  /** Told before each pause. */
  readonly onRetry: (failure: {
    readonly error: MillpoolError;
    readonly attempt: number;
    readonly pauseMs: number;
  }) => void;
}

/**
 * The one loop of ours that tries again: `attempt` until it resolves, rejects with an error that no other try can help
 * (`errorTable`), or the attempts are used up; then that error. When the time is used up: `timeout`, naming the wait.
 * Pauses are uniform between 0 and the longest ("full jitter": Brooker, Exponential Backoff And Jitter, AWS 2015).
 */
export async function retry<T>(policy: RetryPolicy, attempt: (signal: AbortSignal) => Promise<T>): Promise<T> {
  return withDeadline(policy.wait, async (signal) => {
    for (let number = 1; ; number += 1) {
      try {
        return await attempt(signal);
      } catch (thrown) {
        const error = asMillpoolError(thrown);
        if (signal.aborted || number >= policy.attemptsMax || !errorTable[error.code].retryable) throw error;
        const pauseMs = policy.random() * Math.min(policy.pauseMsMax, policy.firstPauseMs * 2 ** (number - 1));
        policy.onRetry({ error, attempt: number, pauseMs });
        await policy.wait.clock.sleep(pauseMs, signal);
      }
    }
  });
}
