import type { IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { abortError, systemClock, withDeadline } from '@millpool/host';
import { decodeReply, encodeCall, MillpoolError } from '@millpool/protocol';
import type { Call } from '@millpool/protocol';
import type { WebSocket } from 'ws';
import { decodeMessage, encodeMessage, idMax, messagePayloadMax, subprotocol, subprotocolHeader } from './message.ts';
import type { Message } from './message.ts';
import { checkSocketPath, socketError } from './socket-path.ts';

export const connectTimeoutMs = 5_000;
const callTimeoutSecondsDefault = 30;
/** The daemon ends a call at its deadline and says on what it waited; only a daemon that hangs needs this much more. */
const graceMs = 1_000;
const protocolViolation = 1002;
const normalClosure = 1000;

export interface TransportConnection {
  readonly call: Call;
  /** Calls under way reject with `closed`. */
  close(): Promise<void>;
}

/** How a connection is made, and how it is spoken of. */
interface Road {
  /** Of the daemon at its end: a path, or HOST:PORT. */
  readonly name: string;
  readonly raw: () => Socket;
  readonly failure: (error: Error) => MillpoolError;
  readonly began: (socket: WebSocket) => void;
}

/** Connects to the daemon that listens there. `unreachable` where none does, `unsupported` for another version. */
export async function connectTransport(socketPath: string): Promise<TransportConnection> {
  checkSocketPath(socketPath);
  return openConnection({
    name: socketPath,
    raw: () => connect({ path: socketPath }),
    failure: (error) => socketError(socketPath, error),
    began: () => {},
  });
}

export async function openConnection(road: Road): Promise<TransportConnection> {
  const wait = { name: `the daemon to answer on ${road.name}`, timeoutMs: connectTimeoutMs, clock: systemClock };
  const { WebSocket: Socket } = await import('ws');
  const socket = new Socket('ws://millpool/', subprotocol, {
    createConnection: road.raw,
    maxPayload: messagePayloadMax,
    perMessageDeflate: false,
  });
  try {
    await withDeadline(wait, () => opened(socket, road));
  } catch (error) {
    socket.on('error', () => {});
    socket.terminate();
    throw error;
  }
  road.began(socket);
  return Connection.over(socket, road.name);
}

function opened(socket: WebSocket, { name, failure }: Road): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.on('open', resolve);
    socket.on('error', (error) => reject(failure(error)));
    socket.on('unexpected-response', (_request, response: IncomingMessage) => {
      const theirs = response.headers[subprotocolHeader];
      response.destroy();
      reject(
        new MillpoolError({
          code: 'unsupported',
          message: `the daemon on ${name} speaks ${String(theirs ?? 'something else')}, we speak ${subprotocol}`,
          remedy: 'Use the same version of Millpool for both: restart the daemon, or update the command.',
          path: name,
        }),
      );
    });
  });
}

interface Pending {
  resolve(body: Uint8Array): void;
  reject(error: MillpoolError): void;
}

class Connection implements TransportConnection {
  readonly #socket: WebSocket;
  readonly #path: string;
  readonly #pending = new Map<number, Pending>();
  #lastId = 0;
  /** Why nothing more can be asked, once that is so. */
  #ended: MillpoolError | null = null;

  private constructor(socket: WebSocket, path: string) {
    this.#socket = socket;
    this.#path = path;
  }

  static over(socket: WebSocket, path: string): Connection {
    const connection = new Connection(socket, path);
    socket.on('message', (data: Buffer, isBinary) => connection.#receive(data, isBinary));
    socket.on('error', (error) => connection.#end(lostError(path, error.message)));
    socket.on('close', (code, reason) => connection.#end(closeError(path, code, reason.toString())));
    return connection;
  }

  readonly call: Call = async (method, request, options) => {
    const timeoutMs = Math.ceil((options?.timeoutSeconds ?? callTimeoutSecondsDefault) * 1_000);
    const body = encodeCall(method, request, timeoutMs);
    const name = `the answer to ${method} on ${this.#path}`;
    const wait = { name, timeoutMs: timeoutMs + graceMs, clock: systemClock, signal: options?.signal };
    return decodeReply(method, await withDeadline(wait, (signal) => this.#ask(body, signal)));
  };

  async close(): Promise<void> {
    this.#end(closedHere());
    const socket = this.#socket;
    if (socket.readyState === socket.CLOSED) return;
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    socket.close(normalClosure);
    const timer = systemClock.after(graceMs, () => socket.terminate());
    await closed;
    timer.cancel();
  }

  #ask(body: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      if (this.#ended !== null) return reject(this.#ended);
      const id = this.#freeId();
      const onAbort = (): void => {
        this.#pending.delete(id);
        this.#send({ kind: 'cancel', id, body: new Uint8Array() });
        reject(abortError(signal));
      };
      signal.addEventListener('abort', onAbort, { once: true });
      const settled = (): void => signal.removeEventListener('abort', onAbort);
      this.#pending.set(id, {
        resolve: (reply) => (settled(), resolve(reply)),
        reject: (error) => (settled(), reject(error)),
      });
      this.#send({ kind: 'call', id, body });
    });
  }

  #send(message: Message): void {
    if (this.#socket.readyState === this.#socket.OPEN) this.#socket.send(encodeMessage(message));
  }

  #receive(data: Buffer, isBinary: boolean): void {
    const message = isBinary ? decodeMessage(data) : null;
    if (message?.kind !== 'reply') {
      this.#end(lostError(this.#path, 'it sent a message that is not one of this protocol'));
      this.#socket.close(protocolViolation, 'a message is not a reply');
      return;
    }
    // No longer pending: the reply to a call that was given up.
    const pending = this.#pending.get(message.id);
    this.#pending.delete(message.id);
    pending?.resolve(message.body);
  }

  /** Rejects all that waits, and all that will be asked. */
  #end(error: MillpoolError): void {
    this.#ended ??= error;
    for (const pending of this.#pending.values()) pending.reject(this.#ended);
    this.#pending.clear();
  }

  /** Ids come round after 2^32 calls; the daemon may still be at a call that was given up long ago. */
  #freeId(): number {
    do this.#lastId = this.#lastId === idMax ? 1 : this.#lastId + 1;
    while (this.#pending.has(this.#lastId));
    return this.#lastId;
  }
}

function closeError(path: string, code: number, reason: string): MillpoolError {
  return lostError(path, reason === '' ? `the connection was closed with code ${code}` : reason);
}

function lostError(path: string, why: string): MillpoolError {
  return new MillpoolError({
    code: 'unreachable',
    message: `the connection to the daemon on ${path} is lost: ${why}`,
    remedy: 'See whether it runs with `millpool status`, and why not in its log.',
    path,
  });
}

function closedHere(): MillpoolError {
  return new MillpoolError({ code: 'closed', message: 'the connection was closed', remedy: 'Connect again.' });
}
