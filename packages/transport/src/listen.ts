import { chmodSync } from 'node:fs';
import type { Server } from 'node:http';
import type { Handlers } from '@millpool/protocol';
import type { Turns } from './dispatch.ts';
import { Served } from './served.ts';
import type { TransportServer } from './served.ts';
import { checkSocketPath, clearStaleSocket, socketError } from './socket-path.ts';

/** The daemon's user and group may connect. */
const socketMode = 0o660;

/**
 * Answers `handlers`' methods on a Unix socket. A socket that a dead daemon left is replaced; a living one, or a file
 * that is no socket, is `exists`. `turns`: of calls with large bodies.
 */
export async function listenTransport(
  socketPath: string,
  handlers: Partial<Handlers>,
  turns?: Turns,
): Promise<TransportServer> {
  checkSocketPath(socketPath);
  await clearStaleSocket(socketPath);
  const served = await Served.by(handlers, { turns, isRemote: false });
  const { http } = served;
  await listen(http, socketPath);
  chmodSync(socketPath, socketMode);
  return { close: () => served.leave(new Promise((resolve) => http.close(() => resolve()))) };
}

function listen(http: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const onError = (error: NodeJS.ErrnoException): void => reject(socketError(path, error));
    http.once('error', onError);
    http.listen({ path }, () => {
      http.removeListener('error', onError);
      resolve();
    });
  });
}
