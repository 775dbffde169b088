import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { systemClock, withDeadline } from '@millpool/host';
import type { Log } from '@millpool/host';
import { MillpoolError } from '@millpool/protocol';
import type { Handlers } from '@millpool/protocol';
import { admit } from './handshake.ts';
import { Served } from './served.ts';
import type { TransportServer } from './served.ts';
import { formatTcpAddress, isLoopback } from './tcp-address.ts';
import type { TcpAddress } from './tcp-address.ts';
import { openToAll } from './trust.ts';
import type { Admission, Trust } from './trust.ts';

/** Of those who have not shown yet who they are; one more is sent away. */
const strangersMax = 64;
const admitTimeoutMs = 5_000;
const goodbyeMs = 1_000;

export interface TcpTransportServer extends TransportServer {
  /** With the port that it has. */
  readonly address: TcpAddress;
}

/**
 * Answers `handlers`' methods to whoever `admission` lets in; null: everybody of this machine, and beyond loopback that
 * is `refused`. `exists` where the port is taken, `invalid` for an address that is not of this machine.
 */
export async function listenTcp(
  address: TcpAddress,
  handlers: Partial<Handlers>,
  { admission, log }: { readonly admission: Admission | null; readonly log: Log },
): Promise<TcpTransportServer> {
  if (admission === null && !isLoopback(address)) throw unguarded(address);
  const trust = admission === openToAll ? null : admission;
  const served = await Served.by(handlers, { turns: undefined, isRemote: true });
  const gate = new Gate(served, trust, log);
  const server = gate.server();
  await listen(server, address);
  const { port } = server.address() as AddressInfo;
  return {
    address: { ...address, port },
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      gate.close();
      await served.leave(closed);
    },
  };
}

/** Lets those in who show that they may. */
class Gate {
  readonly #served: Served;
  readonly #trust: Trust | null;
  readonly #log: Log;
  readonly #strangers = new Set<Socket>();

  constructor(served: Served, trust: Trust | null, log: Log) {
    this.#served = served;
    this.#trust = trust;
    this.#log = log;
  }

  server(): Server {
    const tls = this.#trust?.tls ?? null;
    const options = { noDelay: true, keepAlive: true };
    if (tls === null) return createServer(options, (socket) => void this.#meet(socket));
    const { authority, certificate: cert, key } = tls;
    const ca = authority ?? undefined;
    const shows = this.#trust?.token === null;
    const server = createTlsServer(
      { ...options, cert, key, ca, requestCert: shows, rejectUnauthorized: shows, handshakeTimeout: admitTimeoutMs },
      (socket) => void this.#meet(socket),
    );
    return server.on('tlsClientError', (error) => this.#log.warn('a connection was refused', { error }));
  }

  close(): void {
    for (const socket of this.#strangers) socket.destroy();
  }

  /** Never rejects. */
  async #meet(socket: Socket): Promise<void> {
    const token = this.#trust?.token ?? null;
    if (token === null) return void this.#served.http.emit('connection', socket);
    if (this.#strangers.size >= strangersMax) return void socket.destroy();
    this.#strangers.add(socket);
    const from = socket.remoteAddress ?? 'somebody who has gone';
    const onError = (): void => void socket.destroy();
    socket.on('error', onError);
    try {
      const wait = { name: `the token of ${from}`, timeoutMs: admitTimeoutMs, clock: systemClock };
      const isKnown = await withDeadline(wait, (signal) => admit(socket, token, signal));
      if (isKnown) {
        socket.off('error', onError);
        this.#served.http.emit('connection', socket);
      } else {
        this.#log.warn('a connection was refused', { from, reason: 'it does not know the token of this cluster' });
        // It reads that it is refused, if it does so soon.
        socket.resume().end();
        systemClock.after(goodbyeMs, () => socket.destroy());
      }
    } catch (error) {
      this.#log.warn('a connection was refused', { from, error });
      socket.destroy();
    } finally {
      this.#strangers.delete(socket);
    }
  }
}

function listen(server: Server, { host, port }: TcpAddress): Promise<void> {
  return new Promise((resolve, reject) => {
    const onError = (error: NodeJS.ErrnoException): void => reject(listenError({ host, port }, error));
    server.once('error', onError);
    server.listen({ host, port }, () => {
      server.removeListener('error', onError);
      resolve();
    });
  });
}

function listenError(address: TcpAddress, error: NodeJS.ErrnoException): MillpoolError {
  const at = formatTcpAddress(address);
  const isTaken = error.code === 'EADDRINUSE';
  const isOthers = error.code === 'EADDRNOTAVAIL' || error.code === 'ENOTFOUND';
  const isRefused = error.code === 'EACCES';
  return new MillpoolError(
    {
      code: isTaken ? 'exists' : isOthers ? 'invalid' : isRefused ? 'refused' : 'io',
      message: isTaken ? `something listens on ${at} already` : `${at}: ${error.message}`,
      remedy: isOthers ? 'Name an address of this machine with --listen.' : 'Name another port with --listen.',
    },
    { cause: error },
  );
}

function unguarded(address: TcpAddress): MillpoolError {
  return new MillpoolError({
    code: 'refused',
    message: `${formatTcpAddress(address)} can be reached from other machines, and nothing says who may connect`,
    remedy: 'Give all nodes the same --token-file, or certificates; or say MILLPOOL_CLUSTER_OPEN=on.',
  });
}
