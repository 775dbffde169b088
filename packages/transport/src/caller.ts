import type { Handlers } from '@millpool/protocol';
import { encodeFailure, MillpoolError } from '@millpool/protocol';
import type { WebSocket } from 'ws';
import { dispatch } from './dispatch.ts';
import type { Turns } from './dispatch.ts';
import { decodeMessage, encodeMessage } from './message.ts';

export const runningCallsMax = 1_024;
/**
 * Above the first, a caller does not read its replies: nothing more is read from it, and calls that had been read wait.
 * Below the second they are started again, a few at a time, as each may bring a large reply.
 */
export const unsentBytesMax = 8 * 1024 * 1024;
const unsentBytesLow = 1024 * 1024;
const releasedAtOnce = 16;
const protocolViolation = 1002;
const goingAway = 1001;

interface RunningCall {
  readonly stop: AbortController;
  readonly ended: Promise<void>;
}

/** One connection as its server sees it: calls run side by side, and are aborted when the caller has gone. */
export class Caller {
  readonly #socket: WebSocket;
  readonly #handlers: Partial<Handlers>;
  readonly #turns: Turns | undefined;
  readonly #running = new Map<number, RunningCall>();
  /** Starts of running calls that wait until replies are read. Each is followed by a later reply, which looks here. */
  readonly #held: (() => void)[] = [];

  private constructor(socket: WebSocket, handlers: Partial<Handlers>, turns: Turns | undefined) {
    this.#socket = socket;
    this.#handlers = handlers;
    this.#turns = turns;
  }

  static accept(socket: WebSocket, handlers: Partial<Handlers>, turns?: Turns): Caller {
    const caller = new Caller(socket, handlers, turns);
    socket.on('message', (data: Buffer, isBinary) => caller.#receive(data, isBinary));
    socket.on('close', () => caller.#abortAll(goneError()));
    // ws reports a frame it cannot read as an error, closes with the code that fits, and then says `close`.
    socket.on('error', () => caller.#abortAll(goneError()));
    return caller;
  }

  /** Aborts what runs, sends its failures, and says goodbye; resolves when the handlers have ended. */
  async leave(): Promise<void> {
    const ending = [...this.#running.values()].map(({ ended }) => ended);
    this.#abortAll(closingError());
    await Promise.all(ending);
    this.#socket.close(goingAway, 'the daemon stops');
  }

  terminate(): void {
    this.#socket.terminate();
  }

  #receive(data: Buffer, isBinary: boolean): void {
    const message = isBinary ? decodeMessage(data) : null;
    if (message === null) return this.#breakOff('a message is not one of this protocol');
    switch (message.kind) {
      case 'call':
        return this.#start(message.id, message.body);
      case 'cancel':
        return this.#running.get(message.id)?.stop.abort();
      case 'reply':
        return this.#breakOff('a caller sent a reply');
    }
  }

  #start(id: number, body: Uint8Array): void {
    if (this.#running.has(id)) return this.#breakOff(`call ${id} is under way already`);
    if (this.#running.size >= runningCallsMax) return this.#reply(id, encodeFailure(crowdedError()));
    const stop = new AbortController();
    const ended = this.#turn().then(async () => {
      const reply = await dispatch(this.#handlers, body, stop.signal, this.#turns);
      this.#running.delete(id);
      this.#reply(id, reply);
    });
    this.#running.set(id, { stop, ended });
  }

  /** At once, unless the caller leaves its replies unread. */
  #turn(): Promise<void> {
    return this.#socket.isPaused ? new Promise((start) => this.#held.push(start)) : Promise.resolve();
  }

  #release(): void {
    const socket = this.#socket;
    if (!socket.isPaused || socket.bufferedAmount > unsentBytesLow) return;
    for (const start of this.#held.splice(0, releasedAtOnce)) start();
    if (this.#held.length === 0) socket.resume();
  }

  #reply(id: number, body: Uint8Array): void {
    const socket = this.#socket;
    if (socket.readyState !== socket.OPEN) return;
    socket.send(encodeMessage({ kind: 'reply', id, body }), () => this.#release());
    if (socket.bufferedAmount > unsentBytesMax) socket.pause();
  }

  #breakOff(reason: string): void {
    this.#socket.close(protocolViolation, reason);
    this.#abortAll(goneError());
  }

  #abortAll(reason: MillpoolError): void {
    for (const { stop } of this.#running.values()) stop.abort(reason);
    for (const start of this.#held.splice(0)) start();
  }
}

function goneError(): MillpoolError {
  return new MillpoolError({ code: 'cancelled', message: 'the caller has gone', remedy: '' });
}

function closingError(): MillpoolError {
  return new MillpoolError({ code: 'closed', message: 'the daemon stops', remedy: 'Ask again when it is up.' });
}

function crowdedError(): MillpoolError {
  return new MillpoolError({
    code: 'full',
    message: `this connection has ${runningCallsMax} calls under way`,
    remedy: 'Wait for some of them before asking for more.',
  });
}
