import { lstatSync, unlinkSync } from 'node:fs';
import { connect } from 'node:net';
import { systemClock, withDeadline } from '@millpool/host';
import { MillpoolError } from '@millpool/protocol';

/** `sun_path` of Linux holds 108 bytes with the zero at its end. */
const pathBytesMax = 107;
const probeTimeoutMs = 2_000;

export function checkSocketPath(path: string): void {
  if (Buffer.byteLength(path) <= pathBytesMax) return;
  throw new MillpoolError({
    code: 'invalid',
    message: `the socket path ${path} is longer than ${pathBytesMax} bytes, which Linux does not allow`,
    remedy: 'Choose a shorter one with --socket or MILLPOOL_SOCKET.',
    path,
  });
}

/** Removes a socket that nobody listens on any more. `exists` when somebody answers, or when it is no socket at all. */
export async function clearStaleSocket(path: string): Promise<void> {
  if (await isStaleSocket(path)) unlinkSync(path);
}

/** False where nothing is; `exists` where somebody answers, or where something is that is no socket. */
export async function isStaleSocket(path: string): Promise<boolean> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return false;
  if (!found.isSocket()) {
    throw new MillpoolError({
      code: 'exists',
      message: `${path} is there and is not a socket`,
      remedy: 'Remove it, or choose another path with --socket.',
      path,
    });
  }
  const wait = { name: `an answer on ${path}`, timeoutMs: probeTimeoutMs, clock: systemClock };
  if (await withDeadline(wait, () => answers(path))) {
    throw new MillpoolError({
      code: 'exists',
      message: `another daemon answers on ${path}`,
      remedy: 'Stop it with `millpool down`, or choose another path with --socket.',
      path,
    });
  }
  return true;
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const probe = connect({ path });
    probe
      .on('connect', () => resolve(true))
      .on('error', (error: NodeJS.ErrnoException) => {
        if (error.code === 'ECONNREFUSED' || error.code === 'ENOENT') resolve(false);
        else reject(socketError(path, error));
      });
    probe.on('close', () => probe.destroy()).on('connect', () => probe.destroy());
  });
}

/** What the operating system said of a socket, under the code that fits it. */
export function socketError(path: string, error: NodeJS.ErrnoException): MillpoolError {
  const shape = { path, message: `${path}: ${error.message}` };
  switch (error.code) {
    case 'ENOENT':
    case 'ECONNREFUSED':
      return new MillpoolError(
        {
          ...shape,
          code: 'unreachable',
          message: `no daemon answers on ${path}`,
          remedy: 'Start one with `millpool up`, or name its socket with --socket or MILLPOOL_SOCKET.',
        },
        { cause: error },
      );
    case 'EACCES':
    case 'EPERM':
      return new MillpoolError(
        {
          ...shape,
          code: 'refused',
          remedy: 'Run as the user who started the daemon, or as one of its group.',
        },
        { cause: error },
      );
    case 'EADDRINUSE':
      return new MillpoolError(
        {
          ...shape,
          code: 'exists',
          remedy: 'Stop the other daemon with `millpool down`, or choose another --socket.',
        },
        { cause: error },
      );
    default:
      return new MillpoolError(
        { ...shape, code: 'io', remedy: 'Check the directory of the socket.' },
        { cause: error },
      );
  }
}
