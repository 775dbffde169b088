import type { CoordStore, Txn } from '@millpool/coordination';
import { withDeadline } from '@millpool/host';
import type { Clock, Log } from '@millpool/host';
import type { PlannedMove } from '@millpool/protocol';

import type { ClusterView } from './cluster-view.ts';
import { encodeMove, moveKey } from './move-record.ts';
import { progressOf } from './rebalance-progress.ts';
import { encodeRebalance, rebalanceKey } from './rebalance-record.ts';
import type { KeptRebalance } from './rebalance-record.ts';
import { shardKey } from './shard-record.ts';

const retryMs = 1_000;
/** A move: those who look things up meanwhile should hardly notice. A thousand take 20 s. */
const paceMs = 20;
const callTimeoutMs = 5_000;
/** Each move is compared and put: fewer than a transaction may have of either. */
const asksAtOnce = 40;

interface Parts {
  readonly id: string;
  readonly view: ClusterView;
  readonly store: CoordStore;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * Asks for the moves of the rebalance that is under way, as many at a time as it allows. Every node has one, and the
 * first of those that are there does it; if two think that they are the first, one of their transactions comes to
 * nothing.
 */
export class Rebalancer {
  readonly #parts: Parts;
  readonly #stop = new AbortController();
  readonly #ended: Promise<void>;
  #wake = (): void => undefined;

  private constructor(parts: Parts) {
    this.#parts = parts;
    this.#ended = this.#run();
  }

  static start(parts: Parts): Rebalancer {
    return new Rebalancer(parts);
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
      try {
        if (!(await this.#step())) await changed;
      } catch (error) {
        if (signal.aborted) break;
        log.warn('a rebalance waits', { error });
        await clock.sleep(retryMs, signal).catch(() => undefined);
      }
    }
    end();
  }

  /** False: there is nothing to do until something changes. */
  async #step(): Promise<boolean> {
    const { view, id, clock, log } = this.#parts;
    const record = view.rebalance;
    if (record?.state !== 'running' || view.serving[0]?.id !== id) return false;
    const reason = reasonOf(record);
    const underWay = [...view.moves.values()].filter((move) => move.reason === reason).length;
    // Asked for in few transactions, and looked at as seldom.
    if (underWay > record.atOnce / 2) return false;
    const { left, done, skipped } = progressOf(record, view);
    if (left.length === 0) {
      const endedAt = new Date(clock.nowMs()).toISOString();
      const ended = { ...record, state: 'done', endedAt, outcome: { done, skipped } } as const;
      const { succeeded } = await this.#change({
        compare: [{ kind: 'mod-revision', key: rebalanceKey, modRevision: record.modRevision }],
        then: [{ kind: 'put', key: rebalanceKey, value: encodeRebalance(ended) }],
        otherwise: [],
      });
      if (succeeded) log.info('a rebalance is done', { rebalance: record.id, moves: done, skipped });
      return true;
    }
    const waiting = left.filter(({ shard }) => view.moveOf(shard) === null);
    const room = record.atOnce - (left.length - waiting.length);
    const next = waiting.slice(0, Math.min(room, asksAtOnce));
    if (next.length === 0) return false;
    await this.#change(askingTxn(record, next, view));
    await clock.sleep(next.length * paceMs, this.#stop.signal);
    return true;
  }

  /** What was compared and did not hold, a look shows. */
  async #change(txn: Txn): Promise<{ readonly succeeded: boolean }> {
    const { store, view, clock } = this.#parts;
    const wait = { name: 'a rebalance to go on', timeoutMs: callTimeoutMs, clock, signal: this.#stop.signal };
    const { succeeded, revision } = await withDeadline(wait, () => store.txn(txn));
    await withDeadline(wait, () => (succeeded ? view.reach(revision) : view.refresh()));
    return { succeeded };
  }
}

function askingTxn(record: KeptRebalance, moves: readonly PlannedMove[], view: ClusterView): Txn {
  return {
    compare: [
      { kind: 'mod-revision', key: rebalanceKey, modRevision: record.modRevision },
      ...moves.map(
        ({ shard }) =>
          ({
            kind: 'mod-revision',
            key: shardKey(shard),
            modRevision: view.ownerOf(shard)?.modRevision ?? 0,
          }) as const,
      ),
    ],
    then: moves.map(({ shard, to }) => ({
      kind: 'put',
      key: moveKey(shard),
      value: encodeMove({ to, reason: reasonOf(record), bytesPerSecond: record.bytesPerSecond }),
    })),
    otherwise: [],
  };
}

/** What moves of a rebalance are known by. */
export function reasonOf({ id }: { readonly id: string }): string {
  return `rebalance ${id}`;
}
