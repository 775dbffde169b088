import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { systemClock, withDeadline } from '@millpool/host';
import { MillpoolError } from '@millpool/protocol';
import type { Handlers } from '@millpool/protocol';
import type { WebSocketServer } from 'ws';
import { Caller } from './caller.ts';
import type { Turns } from './dispatch.ts';
import { endWhenSilent } from './heartbeat.ts';
import { messagePayloadMax, subprotocol, subprotocolHeader } from './message.ts';

const leaveTimeoutMs = 5_000;

export interface TransportServer {
  /** No new callers; calls under way are aborted and answered; a socket in the file system is removed. */
  close(): Promise<void>;
}

/** Connections that speak WebSocket, wherever they come from, and what answers them. */
export class Served {
  readonly http: Server;
  readonly #sockets: WebSocketServer;
  readonly #callers = new Set<Caller>();

  private constructor(http: Server, sockets: WebSocketServer) {
    this.http = http;
    this.#sockets = sockets;
  }

  /** What this takes is loaded here: a daemon serves its readers before. `isRemote`: the other end may vanish. */
  static async by(
    handlers: Partial<Handlers>,
    { turns, isRemote }: { readonly turns: Turns | undefined; readonly isRemote: boolean },
  ): Promise<Served> {
    const [{ createServer }, { WebSocketServer: SocketServer }] = await Promise.all([
      import('node:http'),
      import('ws'),
    ]);
    const http = createServer(upgradeOnly);
    const sockets = new SocketServer({
      server: http,
      maxPayload: messagePayloadMax,
      perMessageDeflate: false,
      handleProtocols: () => subprotocol,
      verifyClient: ({ req }, answer) => {
        answer(offers(req).includes(subprotocol), 426, undefined, { [subprotocolHeader]: subprotocol });
      },
    });
    const served = new Served(http, sockets);
    sockets.on('connection', (socket) => {
      if (isRemote) endWhenSilent(socket);
      const caller = Caller.accept(socket, handlers, turns);
      served.#callers.add(caller);
      socket.on('close', () => served.#callers.delete(caller));
    });
    return served;
  }

  /** `closed`: when nobody comes any more, and all have gone. */
  async leave(closed: Promise<void>): Promise<void> {
    this.#sockets.close();
    const wait = { name: 'callers to take their answers', timeoutMs: leaveTimeoutMs, clock: systemClock };
    try {
      await withDeadline(wait, async () => {
        await Promise.all([...this.#callers].map((caller) => caller.leave()));
        await closed;
      });
    } catch (error) {
      if (!(error instanceof MillpoolError && error.code === 'timeout')) throw error;
      for (const caller of this.#callers) caller.terminate();
      this.http.closeAllConnections();
      await closed;
    }
  }
}

function offers(request: IncomingMessage): readonly string[] {
  return (request.headers['sec-websocket-protocol'] ?? '').split(',').map((offer) => offer.trim());
}

function upgradeOnly(_request: IncomingMessage, response: ServerResponse): void {
  response.writeHead(426, { [subprotocolHeader]: subprotocol, connection: 'close' });
  response.end('This socket speaks WebSocket only; use the millpool command.\n');
}
