import { formatDurationMs, MillpoolError } from '@millpool/protocol';
import { abortError } from './clock.ts';
import type { Clock } from './clock.ts';

/** A wait with its name: for what, for how long, and who may give it up earlier. */
export interface Wait {
  /** Completes the sentence "waited 5s for …". */
  readonly name: string;
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly signal?: AbortSignal | undefined;
}

/**
 * What `work` resolves or rejects with; or a rejection with `timeout`, naming the wait, once `timeoutMs` are over, or
 * with the reason of `wait.signal` (`cancelled`, when it is not ours) once that aborts. `work` gets the same news
 * through its own signal; the wait ends also when it does not listen.
 */
export async function withDeadline<T>(wait: Wait, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  if (wait.signal?.aborted === true) throw abortError(wait.signal);
  const stop = new AbortController();
  const timer = wait.clock.after(wait.timeoutMs, () => stop.abort(timeoutError(wait.name, wait.timeoutMs)));
  const onAbort = (): void => stop.abort(wait.signal === undefined ? undefined : abortError(wait.signal));
  wait.signal?.addEventListener('abort', onAbort, { once: true });
  try {
    return await unlessAborted(stop.signal, work(stop.signal));
  } finally {
    timer.cancel();
    wait.signal?.removeEventListener('abort', onAbort);
  }
}

/** `work`, or the signal's error as soon as it aborts. */
export function unlessAborted<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(abortError(signal));
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

export function timeoutError(name: string, timeoutMs: number): MillpoolError {
  return new MillpoolError({
    code: 'timeout',
    message: `waited ${formatDurationMs(timeoutMs)} for ${name}`,
    remedy: 'See in `millpool status` what it waits on; allow more time if that is known to be slow.',
  });
}
