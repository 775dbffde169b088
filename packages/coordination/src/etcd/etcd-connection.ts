import { Client, credentials, Metadata } from '@grpc/grpc-js';
import type { ChannelOptions, ClientDuplexStream } from '@grpc/grpc-js';
import { systemClock } from '@millpool/host';
import type { Clock } from '@millpool/host';
import { MillpoolError } from '@millpool/protocol';

import { etcdFailure, isStaleToken } from './etcd-error.ts';
import type { EtcdAddress } from './etcd-address.ts';
import { methods } from './messages.ts';
import type { Method, ResponseHeader } from './messages.ts';

/** PEM, as read from files. */
export interface EtcdTls {
  /** Whose certificates are believed; null: those that the system believes. */
  readonly authority: Buffer | null;
  /** Ours, for an etcd that asks for one. */
  readonly client: { readonly certificate: Buffer; readonly key: Buffer } | null;
}

export interface EtcdConnectionConfig {
  readonly tls?: EtcdTls;
  /** Of one call, with all that is tried again. */
  readonly callTimeoutMs?: number;
  readonly clock?: Clock;
}

const callTimeoutMsDefault = 5_000;
/** For one endpoint to take a connection, and to answer what can be asked again, before another one is tried. */
const attemptMs = 1_500;
const pauseMs = 50;

const channelOptions: ChannelOptions = {
  // A peer that stopped, or is cut off, is noticed within 14 s; etcd takes pings every 5 s and no more often.
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 4_000,
  'grpc.keepalive_permit_without_calls': 1,
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 1_000,
  'grpc.max_receive_message_length': 64 << 20,
  'grpc.enable_retries': 0,
  'grpc.service_config_disable_resolution': 1,
  // The environment's proxy is for the web.
  'grpc.enable_http_proxy': 0,
};

interface CallOptions {
  readonly deadline: number;
  readonly metadata: Metadata;
}

interface Reply {
  readonly header: ResponseHeader | null;
}

/** One etcd, by whichever of its members answers. */
export class EtcdConnection {
  readonly callTimeoutMs: number;
  readonly #address: EtcdAddress;
  readonly #clients: readonly Client[];
  readonly #clock: Clock;
  /** The member that answered last. */
  #current = 0;
  #token: Promise<string> | null = null;
  #clusterId: number | null = null;
  /** Members that have shown to be of this cluster, and were not silent since. */
  readonly #shown = new Set<number>();

  constructor(address: EtcdAddress, config: EtcdConnectionConfig) {
    this.#address = address;
    this.callTimeoutMs = config.callTimeoutMs ?? callTimeoutMsDefault;
    this.#clock = config.clock ?? systemClock;
    const tls = config.tls ?? { authority: null, client: null };
    const { authority, client } = tls;
    const trusted = address.isTls
      ? credentials.createSsl(authority, client?.key ?? null, client?.certificate ?? null)
      : credentials.createInsecure();
    this.#clients = address.endpoints.map((endpoint) => new Client(endpoint, trusted, channelOptions));
  }

  /** A call that may be made twice. */
  repeatable<Request extends object, Answer extends Reply>(
    what: string,
    method: Method<Request, Answer>,
    request: Request,
  ): Promise<Answer> {
    return this.untilAnswered((deadline) => this.#call(what, method, request, deadline));
  }

  /** Attempts with a deadline each, until the call's time is over: of a member that is silent, another one is asked. */
  async untilAnswered<Answer>(attempt: (deadline: number) => Promise<Answer>): Promise<Answer> {
    const deadline = this.#clock.monotonicMs() + this.callTimeoutMs;
    for (;;) {
      try {
        return await attempt(Math.min(deadline, this.#clock.monotonicMs() + attemptMs));
      } catch (thrown) {
        const isWorthTrying = thrown instanceof MillpoolError && ['timeout', 'unreachable'].includes(thrown.code);
        if (!isWorthTrying || this.#clock.monotonicMs() + pauseMs >= deadline) throw thrown;
        await this.#clock.sleep(pauseMs);
      }
    }
  }

  /** A call that is made once. `timeout` and `unreachable` leave open whether it was done. */
  once<Request extends object, Answer extends Reply>(
    what: string,
    method: Method<Request, Answer>,
    request: Request,
  ): Promise<Answer> {
    return this.#call(what, method, request, this.#clock.monotonicMs() + this.callTimeoutMs);
  }

  /** A stream to a member that has a leader; it ends with `unreachable` when that member has none any more. */
  async stream<Request extends object, Answer extends Reply>(
    what: string,
    method: Method<Request, Answer>,
  ): Promise<EtcdStream<Request, Answer>> {
    const deadline = this.#clock.monotonicMs() + this.callTimeoutMs;
    const member = await this.#connected(deadline);
    const metadata = await this.#admitted(member, deadline).catch((thrown: unknown) => {
      throw this.#failure(thrown, member, what);
    });
    metadata.set('hasleader', 'true');
    const { path, requestSerialize, responseDeserialize } = method;
    const call = this.#client(member).makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadata);
    return new EtcdStream(call, (thrown) => this.#failure(thrown, member, what));
  }

  /** Refuses an answer of another cluster than the one that answered first. */
  check({ header }: Reply): void {
    if (header === null) return;
    this.#clusterId ??= header.cluster_id;
    if (header.cluster_id === this.#clusterId) return;
    throw new MillpoolError({
      code: 'invalid',
      message: `etcd at ${this.#address.endpoints[this.#current] ?? ''} is of another cluster than the one before`,
      remedy: 'Name members of one cluster only (etcdctl member list); start again when etcd was made anew.',
    });
  }

  /** The next call logs in again. */
  forgetToken(): void {
    this.#token = null;
  }

  close(): void {
    for (const client of this.#clients) client.close();
  }

  async #call<Request extends object, Answer extends Reply>(
    what: string,
    method: Method<Request, Answer>,
    request: Request,
    deadline: number,
  ): Promise<Answer> {
    for (let isAgain = false; ; isAgain = true) {
      const member = await this.#connected(deadline);
      try {
        const metadata = await this.#metadata(member);
        await this.#show(member, { deadline, metadata });
        const answer = await this.#unary(member, method, request, { deadline, metadata });
        this.check(answer);
        return answer;
      } catch (thrown) {
        if (!isStaleToken(thrown) || isAgain || this.#address.login === null) throw this.#failure(thrown, member, what);
        this.forgetToken();
      }
    }
  }

  /** For a stream, which is not asked again when its token is a stale one. */
  async #admitted(member: number, deadline: number): Promise<Metadata> {
    for (let isAgain = false; ; isAgain = true) {
      const metadata = await this.#metadata(member);
      try {
        await this.#show(member, { deadline, metadata });
        return metadata;
      } catch (thrown) {
        if (!isStaleToken(thrown) || isAgain || this.#address.login === null) throw thrown;
        this.forgetToken();
      }
    }
  }

  /** Sees that a member is of this cluster before it is asked to change anything. */
  async #show(member: number, how: CallOptions): Promise<void> {
    if (this.#shown.has(member)) return;
    this.check(await this.#unary(member, methods.range, { key: Buffer.from(this.#address.prefix), limit: 1 }, how));
    this.#shown.add(member);
  }

  #unary<Request extends object, Answer extends object>(
    member: number,
    { path, requestSerialize, responseDeserialize }: Method<Request, Answer>,
    request: Request,
    { deadline, metadata }: CallOptions,
  ): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const until = { deadline: this.#wallTime(deadline) };
      const answered = (error: unknown, answer?: Answer): void =>
        answer === undefined ? reject(error) : resolve(answer);
      const client = this.#client(member);
      client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, metadata, until, answered);
    });
  }

  /** The first member, from the one that answered last on, that takes a connection: nothing was sent before. */
  async #connected(deadline: number): Promise<number> {
    for (;;) {
      const member = this.#current;
      const now = this.#clock.monotonicMs();
      if (await this.#isReady(member, Math.min(deadline, now + attemptMs))) return member;
      this.#turnFrom(member);
      if (this.#clock.monotonicMs() + pauseMs >= deadline) {
        throw new MillpoolError({
          code: 'unreachable',
          message: `no etcd answers at ${this.#address.endpoints.join(', ')}`,
          remedy: 'Look whether it runs, and speaks TLS where the address begins with etcds://.',
        });
      }
      await this.#clock.sleep(pauseMs);
    }
  }

  #isReady(member: number, deadline: number): Promise<boolean> {
    return new Promise((resolve) =>
      this.#client(member).waitForReady(this.#wallTime(deadline), (error) => resolve(error === undefined)),
    );
  }

  async #metadata(member: number): Promise<Metadata> {
    const metadata = new Metadata();
    const { login } = this.#address;
    if (login === null) return metadata;
    this.#token ??= this.#logIn(member, login);
    try {
      metadata.set('token', await this.#token);
    } catch (thrown) {
      this.#token = null;
      throw this.#failure(thrown, member, 'logging in');
    }
    return metadata;
  }

  async #logIn(member: number, { user, password }: { user: string; password: string }): Promise<string> {
    const request = { name: user, password };
    const deadline = this.#clock.monotonicMs() + this.callTimeoutMs;
    const { token } = await this.#unary(member, methods.authenticate, request, { deadline, metadata: new Metadata() });
    return token;
  }

  #failure(thrown: unknown, member: number, what: string): MillpoolError {
    const failure = etcdFailure(thrown, this.#address.endpoints[member] ?? '', what);
    if (failure.code === 'timeout' || failure.code === 'unreachable') this.#turnFrom(member);
    return failure;
  }

  #turnFrom(member: number): void {
    this.#shown.delete(member);
    if (this.#current === member) this.#current = (member + 1) % this.#clients.length;
  }

  #client(member: number): Client {
    const client = this.#clients[member];
    if (client === undefined) throw new RangeError(`member ${member} of ${this.#clients.length}`);
    return client;
  }

  /** gRPC's deadlines are instants of the system's clock. */
  #wallTime(deadline: number): number {
    return Date.now() + Math.max(0, deadline - this.#clock.monotonicMs());
  }
}

/** Both directions of one call. */
export class EtcdStream<Request, Answer> implements AsyncIterable<Answer> {
  readonly #call: ClientDuplexStream<Request, Answer>;
  readonly #failure: (thrown: unknown) => MillpoolError;

  constructor(call: ClientDuplexStream<Request, Answer>, failure: (thrown: unknown) => MillpoolError) {
    this.#call = call;
    this.#failure = failure;
    // Without a reader an error would end the process; whoever reads gets it too.
    call.on('error', () => undefined);
  }

  write(request: Request): void {
    this.#call.write(request);
  }

  async *[Symbol.asyncIterator](): AsyncIterator<Answer> {
    try {
      yield* this.#call as AsyncIterable<Answer>;
    } catch (thrown) {
      throw this.#failure(thrown);
    } finally {
      this.cancel();
    }
  }

  /** Harmless when it is over. */
  cancel(): void {
    this.#call.cancel();
  }
}
