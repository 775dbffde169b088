import { uptime } from 'node:os';
import { performance } from 'node:perf_hooks';
import { MillpoolError } from '@millpool/protocol';

/** Time as this process sees it. What waits or measures gets its clock as an argument, so that tests can turn it. */
export interface Clock {
  /** Milliseconds since 1970; may jump. For instants that people read. */
  nowMs(): number;
  /** Milliseconds since some moment; never goes back. For durations, ages and deadlines. */
  monotonicMs(): number;
  /** Milliseconds since the machine started; goes on while it sleeps, in steps of 10 ms. For what others hold us to. */
  bootMs(): number;
  /** Runs `ring` once, `delayMs` from now, unless cancelled before. A timer alone does not keep a process alive. */
  after(delayMs: number, ring: () => void): Timer;
  /** Resolves `delayMs` from now, or rejects with the signal's error as soon as it aborts. Keeps the process alive. */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>;
}

export interface Timer {
  /** Harmless when it has rung already. */
  cancel(): void;
}

/** Node fires a timer that is set further ahead than this at once. */
const timerMsMax = 2 ** 31 - 1;

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  bootMs: () => uptime() * 1_000,
  after(delayMs, ring) {
    const timer = setTimeout(ring, Math.min(delayMs, timerMsMax)).unref();
    return { cancel: () => clearTimeout(timer) };
  },
  sleep(delayMs, signal) {
    return sleepUntil((ring) => {
      const timer = setTimeout(ring, Math.min(delayMs, timerMsMax));
      return { cancel: () => clearTimeout(timer) };
    }, signal);
  },
};

/** A promise for the ringing of a timer that `start` sets; an abort cancels it. */
export function sleepUntil(start: (ring: () => void) => Timer, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(abortError(signal));
      return;
    }
    const timer = start(() => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    });
    const onAbort = (): void => {
      timer.cancel();
      if (signal !== undefined) reject(abortError(signal));
    };
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

/** Why a signal aborted, as our error: its reason when that is one of ours, otherwise `cancelled`. */
export function abortError(signal: AbortSignal): MillpoolError {
  if (signal.reason instanceof MillpoolError) return signal.reason;
  return new MillpoolError(
    { code: 'cancelled', message: 'the caller gave up', remedy: 'Nothing to do: it was asked to stop.' },
    { cause: signal.reason },
  );
}
