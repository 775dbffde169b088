import { chmodSync } from 'node:fs';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { systemClock, withDeadline } from '@millpool/host';
import { MillpoolError } from '@millpool/protocol';
import type { Handlers } from '@millpool/protocol';
import type { WebSocketServer } from 'ws';
import { Caller } from './caller.ts';
import type { Turns } from './dispatch.ts';
import { messagePayloadMax, subprotocol, subprotocolHeader } from './message.ts';
import { checkSocketPath, clearStaleSocket, socketError } from './socket-path.ts';

/** The daemon's user and group may connect. */
const socketMode = 0o660;
const leaveTimeoutMs = 5_000;

export interface TransportServer {
  /** No new callers; calls under way are aborted and answered; the socket is removed. */
  close(): Promise<void>;
}

/**
 * Answers `handlers`' methods on a Unix socket. A socket that a dead daemon left is replaced; a living one, or a file
 * that is no socket, is `exists`. `turns`: of calls with large bodies. What this takes is loaded here: a daemon serves
 * its readers before.
 */
export async function listenTransport(
  socketPath: string,
  handlers: Partial<Handlers>,
  turns?: Turns,
): Promise<TransportServer> {
  checkSocketPath(socketPath);
  await clearStaleSocket(socketPath);
  const [{ createServer }, { WebSocketServer: SocketServer }] = await Promise.all([import('node:http'), import('ws')]);
  const http = createServer(upgradeOnly);
  const callers = new Set<Caller>();
  const sockets = new SocketServer({
    server: http,
    maxPayload: messagePayloadMax,
    perMessageDeflate: false,
    handleProtocols: () => subprotocol,
    verifyClient: ({ req }, answer) => {
      answer(offers(req).includes(subprotocol), 426, undefined, { [subprotocolHeader]: subprotocol });
    },
  });
  sockets.on('connection', (socket) => {
    const caller = Caller.accept(socket, handlers, turns);
    callers.add(caller);
    socket.on('close', () => callers.delete(caller));
  });
  await listen(http, socketPath);
  chmodSync(socketPath, socketMode);
  return { close: () => closeServer(sockets, http, callers) };
}

async function closeServer(sockets: WebSocketServer, http: Server, callers: ReadonlySet<Caller>): Promise<void> {
  const closed = new Promise<void>((resolve) => http.close(() => resolve()));
  sockets.close();
  const wait = { name: 'callers to take their answers', timeoutMs: leaveTimeoutMs, clock: systemClock };
  try {
    await withDeadline(wait, async () => {
      await Promise.all([...callers].map((caller) => caller.leave()));
      await closed;
    });
  } catch (error) {
    if (!(error instanceof MillpoolError && error.code === 'timeout')) throw error;
    for (const caller of callers) caller.terminate();
    http.closeAllConnections();
    await closed;
  }
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

function offers(request: IncomingMessage): readonly string[] {
  return (request.headers['sec-websocket-protocol'] ?? '').split(',').map((offer) => offer.trim());
}

function upgradeOnly(_request: IncomingMessage, response: ServerResponse): void {
  response.writeHead(426, { [subprotocolHeader]: subprotocol, connection: 'close' });
  response.end('This socket speaks WebSocket only; use the millpool command.\n');
}
