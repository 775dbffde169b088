import type { CoordStore, Txn } from '@millpool/coordination';
import { withDeadline } from '@millpool/host';
import type { Clock, Log } from '@millpool/host';

import type { ClusterView, OwnedShard } from './cluster-view.ts';
import { moveKey } from './move-record.ts';
import type { AskedMove } from './move-record.ts';
import { nodeKey } from './node-record.ts';
import { decodeShard, encodeShard, shardKey } from './shard-record.ts';

const retryMs = 500;
const callTimeoutMs = 5_000;
const prepareTimeoutMs = 60_000;
/** Where an operator said how fast it may be. */
const pacedTimeoutMs = 3_600_000;

interface Parts {
  readonly id: string;
  readonly view: ClusterView;
  readonly store: CoordStore;
  readonly clock: Clock;
  readonly log: Log;
  /** This node may act as a member, now. */
  readonly isClear: () => boolean;
}

/** What is to be done before a shard is handed over; where it fails, the shard moves nevertheless. */
export type PreparedMove = (
  move: Pick<AskedMove, 'to' | 'bytesPerSecond'> & { readonly shard: number },
  signal: AbortSignal,
) => Promise<void>;

interface Handover {
  readonly shard: number;
  readonly from: OwnedShard;
  readonly move: AskedMove;
}

/**
 * Hands over the shards of this node that it is asked for. Before it sends the swap it ceases to answer for the shard,
 * and begins again only when the swap can no longer be done: a request whose reply was lost may still be on its way.
 */
export class Mover {
  readonly #parts: Parts;
  readonly #leaving = new Set<number>();
  readonly #stop = new AbortController();
  readonly #ended: Promise<void>;
  #prepare: PreparedMove | null = null;
  #wake = (): void => undefined;

  private constructor(parts: Parts) {
    this.#parts = parts;
    this.#ended = this.#run();
  }

  static start(parts: Parts): Mover {
    return new Mover(parts);
  }

  /** This node answers for it no longer, or not yet again. */
  isLeaving(shard: number): boolean {
    return this.#leaving.has(shard);
  }

  beforeMoves(prepare: PreparedMove): void {
    this.#prepare = prepare;
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    this.#wake();
    await this.#ended;
  }

  async #run(): Promise<void> {
    const { view, clock, log } = this.#parts;
    const { signal } = this.#stop;
    const end = view.listen(() => this.#wake());
    while (!signal.aborted) {
      const changed = new Promise<void>((resolve) => (this.#wake = resolve));
      const asked = this.#asked();
      if (asked.length === 0) await changed;
      let done = 0;
      for (const handover of asked) {
        if (signal.aborted || !this.#isPossible(handover)) continue;
        done += 1;
        await this.#handOver(handover).catch((error: unknown) => {
          if (!signal.aborted) log.warn('a shard is not handed over yet', { shard: handover.shard, error });
          return clock.sleep(retryMs, signal).catch(() => undefined);
        });
      }
      // Nothing tells of the moment from which this node may act.
      if (asked.length > done) await clock.sleep(retryMs, signal).catch(() => undefined);
    }
    end();
  }

  /** Of shards that this node owns. */
  #asked(): Handover[] {
    const { id, view } = this.#parts;
    return [...view.moves].flatMap(([shard, move]) => {
      const from = view.ownerOf(shard);
      return from?.owner === id ? [{ shard, from, move }] : [];
    });
  }

  #isPossible({ move }: Handover): boolean {
    const { isClear, view } = this.#parts;
    return isClear() && view.node(move.to) !== null;
  }

  async #handOver(handover: Handover): Promise<void> {
    const { store, view, log, id } = this.#parts;
    const { shard, from, move } = handover;
    if (move.to !== id) await this.#prepared(shard, move);
    this.#leaving.add(shard);
    // Unless we know when it was changed, all of it is read.
    let changedAt: number | null = null;
    try {
      const { succeeded, revision } = await this.#within('a shard to be handed over', () =>
        store.txn(swapOf(handover, id)),
      );
      if (succeeded) changedAt = revision;
      if (succeeded && move.to !== id) {
        log.info('a shard was handed over', { shard, to: move.to, term: from.term + 1, reason: move.reason });
      }
    } catch (error) {
      await this.#settle(shard);
      throw error;
    } finally {
      await this.#untilDone(async () => {
        await this.#within('who owns what', () => (changedAt === null ? view.refresh() : view.reach(changedAt)));
        return true;
      });
      this.#leaving.delete(shard);
    }
  }

  async #prepared(shard: number, { to, bytesPerSecond }: AskedMove): Promise<void> {
    const { clock, log } = this.#parts;
    const { signal } = this.#stop;
    const prepare = this.#prepare;
    if (prepare === null) return;
    const timeoutMs = bytesPerSecond === null ? prepareTimeoutMs : pacedTimeoutMs;
    const wait = { name: 'a shard to be copied before it moves', timeoutMs, clock, signal };
    await withDeadline(wait, (over) => prepare({ shard, to, bytesPerSecond }, over)).catch((error: unknown) => {
      signal.throwIfAborted();
      log.warn('a shard moves without some of its listings, which are made again', { shard, to, error });
    });
  }

  /** After an outcome that is unknown: a new term, by which a swap that is still on its way comes to nothing. */
  async #settle(shard: number): Promise<void> {
    const { store, id } = this.#parts;
    await this.#untilDone(async () => {
      const entry = await this.#within('the owner of a shard', () => store.get(shardKey(shard)));
      if (entry === null) return true;
      const { owner, term } = decodeShard(entry);
      if (owner !== id) return true;
      const again: Txn = {
        compare: [{ kind: 'mod-revision', key: entry.key, modRevision: entry.modRevision }],
        then: [{ kind: 'put', key: entry.key, value: encodeShard({ owner, term: term + 1 }) }],
        otherwise: [],
      };
      return (await this.#within('a term of a shard', () => store.txn(again))).succeeded;
    });
  }

  /** Again and again, until it is or this node stops; it answers for the shard no sooner. */
  async #untilDone(attempt: () => Promise<boolean>): Promise<void> {
    const { clock } = this.#parts;
    const { signal } = this.#stop;
    while (!signal.aborted && !(await attempt().catch(() => false))) {
      await clock.sleep(retryMs, signal).catch(() => undefined);
    }
    signal.throwIfAborted();
  }

  #within<T>(name: string, call: () => Promise<T>): Promise<T> {
    return withDeadline({ name, timeoutMs: callTimeoutMs, clock: this.#parts.clock }, call);
  }
}

/** One that is there already is answered by taking the request away. */
function swapOf({ shard, from, move }: Handover, id: string): Txn {
  const isThere = move.to === id;
  return {
    compare: [
      { kind: 'mod-revision', key: shardKey(shard), modRevision: from.modRevision },
      { kind: 'mod-revision', key: moveKey(shard), modRevision: move.modRevision },
      { kind: 'exists', key: nodeKey(move.to), exists: true },
    ],
    then: [
      { kind: 'delete', key: moveKey(shard) },
      ...(isThere
        ? []
        : [
            {
              kind: 'put',
              key: shardKey(shard),
              value: encodeShard({ owner: move.to, term: from.term + 1 }),
            } as const,
          ]),
    ],
    otherwise: [],
  };
}
