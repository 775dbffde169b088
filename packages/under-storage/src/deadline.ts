import { MillpoolError } from '@millpool/protocol';

/** A wait has a name, which its error says, and an end. */
export interface Wait {
  /** A noun clause: `the LIST of s3://bucket/train/`. */
  readonly name: string;
  readonly timeoutMs: number;
  /** What to look at when it ran out of time. */
  readonly remedy: string;
}

/**
 * Does `work` and gives its outcome, unless the deadline (`timeout`) or the caller's signal (`cancelled`) comes first:
 * then the signal that `work` got is aborted, and what `work` still does goes unheard.
 */
export async function within<T>(
  wait: Wait,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  if (signal.aborted) throw cancelled(wait);
  const controller = new AbortController();
  const onAbort = (): void => controller.abort(cancelled(wait));
  const timer = setTimeout(() => controller.abort(tooLate(wait)), wait.timeoutMs);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([work(controller.signal), reasonOf(controller.signal)]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
  }
}

function reasonOf(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as MillpoolError), { once: true });
  });
}

function tooLate(wait: Wait): MillpoolError {
  const message = `${wait.name} did not end within ${wait.timeoutMs / 1000} s`;
  return new MillpoolError({ code: 'timeout', message, remedy: wait.remedy });
}

function cancelled(wait: Wait): MillpoolError {
  return new MillpoolError({ code: 'cancelled', message: `${wait.name} was given up`, remedy: '' });
}
