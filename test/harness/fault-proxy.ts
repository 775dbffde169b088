import { EventEmitter, once, setMaxListeners } from 'node:events';
import { Agent, createServer, request as ask } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

import type { Fault, FaultKind, FaultRule } from './fault.ts';
import { seededRandom } from './seeded-random.ts';

const slowSliceMs = 20;
const cappedSliceBytes = 16 * 1024;

/**
 * Stands before an S3 server and does to its answers what a script of rules says, and nothing without one. `counts`
 * tells how often each fault was truly in force: a cut of an answer that was over before is not counted.
 */
export class FaultProxy {
  readonly #server: Server;
  #upstream: URL;
  readonly #agent = new Agent({ keepAlive: true });
  readonly #random: () => number;
  readonly #sockets = new Set<Socket>();
  readonly #news = new EventEmitter();
  readonly #stopping = new AbortController();
  readonly #counts = new Map<FaultKind, number>();
  #rules: readonly FaultRule[] = [];
  #requests = 0;
  /** When what was passed under a cap is paid for. */
  #paidMs = 0;
  #port = 0;

  private constructor(upstream: string, seed: number) {
    this.#upstream = new URL(upstream);
    setMaxListeners(0, this.#stopping.signal);
    this.#random = seededRandom(seed);
    this.#server = createServer((incoming, response) => void this.#answer(incoming, response));
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket)).on('error', () => socket.destroy());
    });
  }

  static async start(upstream: string, seed: number): Promise<FaultProxy> {
    const proxy = new FaultProxy(upstream, seed);
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    proxy.#port = (proxy.#server.address() as AddressInfo).port;
    return proxy;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Stands before another server from now on, at the same endpoint. */
  redirect(upstream: string): void {
    this.#upstream = new URL(upstream);
  }

  /** Nobody listens at the endpoint any more, and every connection is gone, until `mend`. */
  async cutOff(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.#sockets) reset(socket);
    await closed;
  }

  async mend(): Promise<void> {
    this.#server.listen(this.#port, '127.0.0.1');
    await once(this.#server, 'listening');
  }

  /** The first rule that matches a request decides about it. Holds for requests from now on. */
  script(...rules: readonly FaultRule[]): void {
    this.#rules = rules;
  }

  count(kind: FaultKind): number {
    return this.#counts.get(kind) ?? 0;
  }

  /** Waits until a fault was in force so many times. */
  async reached(kind: FaultKind, count: number): Promise<void> {
    while (this.count(kind) < count) await once(this.#news, 'in-force', { signal: this.#stopping.signal });
  }

  get requests(): number {
    return this.#requests;
  }

  /** Ends every connection, those that hang too. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    if (this.#server.listening) await this.cutOff();
    this.#agent.destroy();
  }

  async #answer(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    this.#requests += 1;
    const fault = this.#faultFor(incoming);
    if (fault?.kind === 'status') return this.#refuse(response, fault);
    if (fault?.kind === 'hang-before-header') return this.#inForce(fault);
    try {
      await this.#pass(incoming, response, fault);
    } catch {
      // The server or the client went away, or the proxy stops: the other side sees what it would have seen without us.
      response.destroy();
    }
  }

  #faultFor({ method = '', url = '' }: IncomingMessage): Fault | null {
    const rule = this.#rules.find(({ matches }) => matches({ method, url }));
    return rule !== undefined && this.#random() < rule.probability ? rule.fault : null;
  }

  #inForce({ kind }: Fault): void {
    this.#counts.set(kind, this.count(kind) + 1);
    this.#news.emit('in-force');
  }

  #refuse(response: ServerResponse, fault: Extract<Fault, { kind: 'status' }>): void {
    const body = `<?xml version="1.0"?><Error><Code>${fault.code}</Code><Message>injected</Message></Error>`;
    response.writeHead(fault.status, { 'content-type': 'application/xml' }).end(body);
    this.#inForce(fault);
  }

  /** Headers go through as they are: `Host` is signed. */
  async #pass(incoming: IncomingMessage, response: ServerResponse, fault: Fault | null): Promise<void> {
    const { hostname, port } = this.#upstream;
    const { method, url, rawHeaders } = incoming;
    const asked = ask({ agent: this.#agent, hostname, port, method, path: url, headers: rawHeaders as string[] });
    asked.on('error', () => response.destroy());
    incoming.pipe(asked);
    const [answer] = (await once(asked, 'response', { signal: this.#stopping.signal })) as [IncomingMessage];
    response.writeHead(answer.statusCode ?? 502, this.#headersOf(answer, fault) as string[]);
    if (fault === null) await pipeTo(answer, response);
    else await this.#passBody(answer, response, fault);
  }

  #headersOf(answer: IncomingMessage, fault: Fault | null): readonly string[] {
    const length = Number(answer.headers['content-length']);
    switch (fault?.kind) {
      case 'wrong-length':
        if (!Number.isSafeInteger(length) || length + fault.byBytes < 0) return answer.rawHeaders;
        return this.#withHeader(answer, fault, ['content-length', String(length + fault.byBytes)]);
      case 'wrong-etag':
        return this.#withHeader(answer, fault, ['etag', fault.etag]);
      default:
        return answer.rawHeaders;
    }
  }

  /** One header said otherwise, where the answer has it. */
  #withHeader(
    { rawHeaders }: IncomingMessage,
    fault: Fault,
    [name, value]: readonly [string, string],
  ): readonly string[] {
    const at = rawHeaders.findIndex((text, i) => i % 2 === 0 && text.toLowerCase() === name);
    if (at < 0) return rawHeaders;
    this.#inForce(fault);
    return rawHeaders.toSpliced(at + 1, 1, value);
  }

  async #passBody(answer: IncomingMessage, response: ServerResponse, fault: Fault): Promise<void> {
    let sent = 0;
    response.flushHeaders();
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      const stopsHere = 'afterBytes' in fault && sent + chunk.length > fault.afterBytes;
      const passed = stopsHere ? chunk.subarray(0, fault.afterBytes - sent) : chunk;
      if (fault.kind === 'slow') {
        if (sent === 0) this.#inForce(fault);
        await this.#trickle(passed, response, fault);
      } else if (fault.kind === 'capped') {
        if (sent === 0) this.#inForce(fault);
        await this.#meter(passed, response, fault);
      } else await written(response, passed);
      sent += passed.length;
      if (stopsHere) return this.#stopBody(response, fault);
    }
    if (fault.kind === 'wrong-length') response.socket?.end();
    else response.end();
    return undefined;
  }

  #stopBody(response: ServerResponse, fault: Fault): void {
    this.#inForce(fault);
    if (fault.kind === 'cut') response.socket?.end();
    if (fault.kind === 'reset' && response.socket !== null) reset(response.socket);
  }

  async #meter(bytes: Buffer, response: ServerResponse, fault: Extract<Fault, { kind: 'capped' }>): Promise<void> {
    for (let at = 0; at < bytes.length; at += cappedSliceBytes) {
      const slice = bytes.subarray(at, at + cappedSliceBytes);
      const nowMs = performance.now();
      const dueMs = Math.max(nowMs, this.#paidMs);
      this.#paidMs = dueMs + (slice.length * 1_000) / fault.bytesPerSecond;
      await sleep(dueMs - nowMs, undefined, { signal: this.#stopping.signal });
      await written(response, slice);
    }
  }

  async #trickle(bytes: Buffer, response: ServerResponse, fault: Extract<Fault, { kind: 'slow' }>): Promise<void> {
    const slice = Math.max(1, Math.floor((fault.bytesPerSecond * slowSliceMs) / 1000));
    for (let at = 0; at < bytes.length; at += slice) {
      await written(response, bytes.subarray(at, at + slice));
      await sleep(slowSliceMs, undefined, { signal: this.#stopping.signal });
    }
  }
}

async function pipeTo(answer: IncomingMessage, response: ServerResponse): Promise<void> {
  for await (const chunk of answer as AsyncIterable<Buffer>) await written(response, chunk);
  response.end();
}

function written(response: ServerResponse, bytes: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    response.write(bytes, (error) => (error ? reject(error) : resolve()));
  });
}

/**
 * A socket that is being shut down cannot be reset: Node would take it for closing, never close it, and at its end wait
 * for it for ever (`TCPWrap::Reset` drops what `uv_tcp_close_reset` answers).
 */
function reset(socket: Socket): void {
  if (socket.writableEnded) socket.destroy();
  else socket.resetAndDestroy();
}
