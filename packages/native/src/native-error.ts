import { type ErrorCode, errorCodeOf, isErrorCode, MillpoolError } from '@millpool/protocol';

const remedies: Readonly<Record<ErrorCode, string>> = {
  invalid: 'Correct the argument that the message names.',
  'not-found': 'Check the name; `millpool ls` shows what is there.',
  exists: 'Stop what holds it, or choose another name or directory.',
  refused: 'Check the credentials of the source, or the permissions of the file that the message names.',
  unreachable: 'Start the daemon with `millpool up`, or give its socket with --socket or MILLPOOL_SOCKET.',
  'source-unavailable': 'The under-storage does not answer; try again when it does.',
  'source-changed':
    'The object is no longer the version that was listed; list it again, or `millpool load` before training.',
  'source-broken': 'The under-storage sent less or other than it announced; try again, and look at what lies between.',
  timeout: 'Try again with a longer time-out; `millpool status` shows what the node is busy with.',
  cancelled: '',
  full: 'Free something with `millpool free`, or give the daemon more room with --size.',
  corrupt:
    'The stored copy is dropped and comes again from the source at the next read; look at the device if it returns.',
  unsupported: 'See `docs/semantics.md` for what Millpool needs of a machine.',
  closed: 'Open it again.',
  io: 'Look at the device or file that the message names.',
  internal: 'This is a fault of Millpool; please report it.',
};

/** The remedy that fits a code where nothing better is known. */
export function remedyFor(code: ErrorCode): string {
  return remedies[code];
}

/** An error that came from the addon as data. */
export function errorOf(number: number, message: string): MillpoolError {
  const code = errorCodeOf(number);
  return new MillpoolError({ code, message, remedy: remedyFor(code) });
}

/** An error that the addon threw: its text is `CODE: message`; anything else is a fault of ours. */
export function nativeError(thrown: unknown): MillpoolError {
  if (thrown instanceof MillpoolError) return thrown;
  const text = thrown instanceof Error ? thrown.message : String(thrown);
  const colon = text.indexOf(': ');
  const name = text.slice(0, Math.max(colon, 0));
  const code: ErrorCode = isErrorCode(name) ? name : 'internal';
  const message = isErrorCode(name) ? text.slice(colon + 2) : text;
  return new MillpoolError({ code, message, remedy: remedyFor(code) }, { cause: thrown });
}

/** Runs a synchronous call of the addon; what it throws becomes a MillpoolError. */
export function called<T>(call: () => T): T {
  try {
    return call();
  } catch (thrown) {
    throw nativeError(thrown);
  }
}

/** Awaits an asynchronous call of the addon, also one that throws before it returns a promise. */
export async function settled<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (thrown) {
    throw nativeError(thrown);
  }
}
