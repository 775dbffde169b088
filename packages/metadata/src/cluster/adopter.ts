import type { CoordStore, Txn } from '@millpool/coordination';
import { withDeadline } from '@millpool/host';
import type { Clock, Log } from '@millpool/host';

import { awayKey } from './away-record.ts';
import type { ClusterView } from './cluster-view.ts';
import { nodeKey } from './node-record.ts';
import { adoptionsOf } from './orphans.ts';
import type { Adoption } from './orphans.ts';
import { encodeShard, shardKey } from './shard-record.ts';

/** Fewer than a driver takes of comparisons: each shard has one, and each node that is named has two at most. */
const shardsAtOnce = 40;
/** How long after a change: a node that joins or goes seldom does so alone. */
const settleMs = 200;
const retryMs = 1_000;
const swapTimeoutMs = 5_000;

interface Parts {
  readonly view: ClusterView;
  readonly store: CoordStore;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * Gives shards whose owner is gone to nodes that are there. Every node has one: whoever swaps first has done it, and
 * the others find it done. That the former owner is gone is part of the swap, so it has stopped acting by then.
 */
export class Adopter {
  readonly #parts: Parts;
  readonly #stop = new AbortController();
  readonly #ended: Promise<void>;
  #wake = (): void => undefined;

  private constructor(parts: Parts) {
    this.#parts = parts;
    this.#ended = this.#run();
  }

  static start(parts: Parts): Adopter {
    return new Adopter(parts);
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
        const adoptions = this.#due();
        for (let first = 0; first < adoptions.length; first += shardsAtOnce) {
          await this.#swap(adoptions.slice(first, first + shardsAtOnce));
        }
        if (adoptions.length === 0) await changed;
        await clock.sleep(settleMs, signal);
      } catch (error) {
        if (signal.aborted) break;
        log.warn('shards without an owner wait', { error });
        await clock.sleep(retryMs, signal).catch(() => undefined);
      }
    }
    end();
  }

  #due(): Adoption[] {
    const { view } = this.#parts;
    const owners = Array.from({ length: view.shards }, (_, shard) => view.ownerOf(shard));
    const due = adoptionsOf({
      owners,
      nodes: view.serving.map(({ id }) => id),
      awaited: [...view.awaited.keys()],
      takers: view.takers.map(({ id }) => id),
    });
    // One that cannot be swapped would keep all others of its transaction from it.
    return due.filter(({ shard }) => !view.isDamaged(shard));
  }

  async #swap(adoptions: readonly Adoption[]): Promise<void> {
    const { store, clock, log, view } = this.#parts;
    const wait = { name: 'shards to get an owner', timeoutMs: swapTimeoutMs, clock };
    const { succeeded, revision } = await withDeadline(wait, () => store.txn(swapOf(adoptions, view.draining)));
    if (succeeded) {
      const shards = adoptions.length;
      const from = [...new Set(adoptions.map(({ from: before }) => before?.owner ?? 'nobody'))].join(', ');
      log.info('shards got an owner', { shards, from, reason: 'their owner is not in the cluster' });
    }
    // Where it was not, another was first.
    await withDeadline(wait, () => (succeeded ? view.reach(revision) : view.refresh()));
  }
}

function swapOf(adoptions: readonly Adoption[], draining: ReadonlySet<string>): Txn {
  const gone = new Set(adoptions.flatMap(({ from }) => (from === null ? [] : [from.owner])));
  const there = new Set(adoptions.map(({ to }) => to));
  // One that is to be drained is not waited for.
  const unawaited = [...gone].filter((id) => !draining.has(id));
  return {
    compare: [
      ...[...gone].map((id) => ({ kind: 'exists', key: nodeKey(id), exists: false }) as const),
      ...unawaited.map((id) => ({ kind: 'exists', key: awayKey(id), exists: false }) as const),
      ...[...there].map((id) => ({ kind: 'exists', key: nodeKey(id), exists: true }) as const),
      ...adoptions.map(
        ({ shard, from }) =>
          ({ kind: 'mod-revision', key: shardKey(shard), modRevision: from?.modRevision ?? 0 }) as const,
      ),
    ],
    then: adoptions.map(({ shard, from, to }) => ({
      kind: 'put',
      key: shardKey(shard),
      value: encodeShard({ owner: to, term: (from?.term ?? 0) + 1 }),
    })),
    otherwise: [],
  };
}
