import { withDeadline } from '@millpool/host';
import type { Clock, Log } from '@millpool/host';
import { asMillpoolError, MillpoolError } from '@millpool/protocol';
import type { Call, OwnerMethod, Reply, Request } from '@millpool/protocol';

import type { ClusterView } from './cluster-view.ts';

interface Question<M extends OwnerMethod> {
  readonly method: M;
  readonly request: Request<M>;
}

interface CallTerms {
  readonly signal: AbortSignal;
  readonly timeoutSeconds: number;
}

/** A way to another node. */
export interface PeerConnection {
  readonly call: Call<OwnerMethod>;
  close(): Promise<void>;
}

interface Parts {
  readonly view: ClusterView;
  readonly connect: (address: string) => Promise<PeerConnection>;
  readonly clock: Clock;
  readonly log: Log;
}

interface Peer {
  readonly address: string;
  readonly connection: Promise<PeerConnection>;
  /** The same; null: not yet. */
  connected: PeerConnection | null;
  /** Aborts when the node leaves the cluster, or is at another address. */
  readonly gone: AbortController;
}

/** So long nobody waits for a node that could not be reached; each time twice as long. */
const awayMsMin = 1_000;
const awayMsMax = 30_000;
const connectTimeoutMs = 2_000;

/** The other nodes, connected to when they are first asked. */
export class Peers {
  readonly #parts: Parts;
  readonly #peers = new Map<string, Peer>();
  readonly #away = new Map<string, { readonly untilMs: number; readonly ms: number }>();
  readonly #unlisten: () => void;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#unlisten = parts.view.listen(() => this.#dropThoseGone());
  }

  /** What each of them answers; null: it does not. */
  each<M extends OwnerMethod>(
    ids: readonly string[],
    question: Question<M>,
    terms: CallTerms,
  ): Promise<{ readonly id: string; readonly reply: Reply<M> | null }[]> {
    return Promise.all(
      ids.map(async (id) => {
        try {
          return { id, reply: await this.call(id, question, terms) };
        } catch (error) {
          if (terms.signal.aborted) throw error;
          this.#parts.log.debug('a node does not answer', { node: id, method: question.method, error });
          return { id, reply: null };
        }
      }),
    );
  }

  /**
   * What a node answers. `unreachable` also when it leaves the cluster before it has answered, and at once for one that
   * could not be reached a moment ago.
   */
  async call<M extends OwnerMethod>(
    id: string,
    { method, request }: Question<M>,
    { signal, timeoutSeconds }: CallTerms,
  ): Promise<Reply<M>> {
    const { clock } = this.#parts;
    if (clock.monotonicMs() < (this.#away.get(id)?.untilMs ?? 0)) throw away(id);
    const peer = this.#peer(id);
    const ended = AbortSignal.any([signal, peer.gone.signal]);
    try {
      const wait = { name: `a connection to node ${id}`, timeoutMs: connectTimeoutMs, clock, signal: ended };
      const connection = peer.connected ?? (await withDeadline(wait, () => peer.connection));
      const wanted = { name: `node ${id} to answer`, timeoutMs: timeoutSeconds * 1_000, clock, signal: ended };
      const reply = await withDeadline(wanted, (over) =>
        connection.call(method, request, { signal: over, timeoutSeconds }),
      );
      this.#away.delete(id);
      return reply;
    } catch (thrown) {
      if (signal.aborted) throw thrown;
      const error = peer.gone.signal.aborted ? away(id) : asMillpoolError(thrown);
      if (error.code === 'unreachable' || error.code === 'timeout' || error.code === 'closed') {
        const ms = Math.min(2 * (this.#away.get(id)?.ms ?? awayMsMin / 2), awayMsMax);
        this.#away.set(id, { untilMs: clock.monotonicMs() + ms, ms });
        if (error.code !== 'timeout') void this.#drop(id);
      }
      throw error;
    }
  }

  async close(): Promise<void> {
    this.#unlisten();
    for (const id of [...this.#peers.keys()]) await this.#drop(id);
  }

  #peer(id: string): Peer {
    const address = this.#parts.view.node(id)?.address;
    if (address === undefined) throw away(id);
    const known = this.#peers.get(id);
    if (known !== undefined && known.address === address) return known;
    if (known !== undefined) void this.#drop(id);
    const connection = this.#parts.connect(address);
    const peer: Peer = { address, connection, connected: null, gone: new AbortController() };
    this.#peers.set(id, peer);
    // Whoever asked hears of it; who asks next connects again.
    connection.then(
      (connected) => (peer.connected = connected),
      () => this.#peers.get(id) === peer && this.#peers.delete(id),
    );
    return peer;
  }

  #dropThoseGone(): void {
    for (const [id, { address }] of this.#peers) {
      if (this.#parts.view.node(id)?.address !== address) void this.#drop(id);
    }
  }

  async #drop(id: string): Promise<void> {
    const peer = this.#peers.get(id);
    if (peer === undefined) return;
    this.#peers.delete(id);
    peer.gone.abort();
    const connection = await peer.connection.catch(() => null);
    await connection?.close().catch((error: unknown) => this.#parts.log.debug('a connection did not close', { error }));
  }
}

function away(id: string): MillpoolError {
  return new MillpoolError({
    code: 'unreachable',
    message: `node ${id} cannot be reached`,
    remedy: 'See `millpool admin nodes`, and the log of that node.',
  });
}
