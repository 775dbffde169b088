import { MillpoolError } from '@millpool/protocol';

/**
 * Why LMDB did not commit: `full`, or `io`. `what` begins the sentence. LMDB rejects a commit with an error of its own,
 * and gives the reason in a promise of that error, which must not be left alone: nobody else would wait for it.
 */
export async function commitFailure(thrown: unknown, what: string): Promise<MillpoolError> {
  const cause = await causeOf(thrown);
  const reason = cause instanceof Error ? cause.message.split(':')[0] : String(cause);
  const full = /MDB_MAP_FULL|ENOSPC|No space left/.test(String(cause));
  return new MillpoolError(
    {
      code: full ? 'full' : 'io',
      message: `${what} could not be written: ${reason}`,
      remedy: full
        ? 'Make room on the device of the state directory, or name another one with MILLPOOL_STATE_DIRECTORY.'
        : 'Check the device of the state directory.',
    },
    { cause },
  );
}

async function causeOf(thrown: unknown): Promise<unknown> {
  if (!(thrown instanceof Error) || !('commitError' in thrown)) return thrown;
  try {
    await thrown.commitError;
    return thrown;
  } catch (cause) {
    return cause;
  }
}
