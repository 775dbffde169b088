import type { CoordStore } from '@millpool/coordination';
import { silentLog } from '@millpool/host';
import type { Clock } from '@millpool/host';
import { ClusterAdmin, ClusterView, moveKey } from '@millpool/metadata/cluster';
import { MillpoolError } from '@millpool/protocol';
import type { ClusterMethod, DirectoryMethod, Handlers, MapMethod } from '@millpool/protocol';

import type { Random } from './random.ts';

const never = new AbortController().signal;
const nothingKnown = async () => ({ contents: [], missing: [] });

/** Somebody at a terminal who looks at the cluster and asks for moves, drains and rebalances, in any order. */
export class Operator {
  readonly #store: CoordStore;
  readonly #random: Random;
  readonly #view: ClusterView;
  readonly #admin: Handlers<Exclude<ClusterMethod, DirectoryMethod | MapMethod>>;

  private constructor(store: CoordStore, random: Random, view: ClusterView, clock: Clock) {
    this.#store = store;
    this.#random = random;
    this.#view = view;
    this.#admin = new ClusterAdmin({
      id: 'operator',
      view,
      store,
      clock,
      log: silentLog,
      contents: nothingKnown,
    }).handlers;
  }

  static async open(of: {
    readonly store: CoordStore;
    readonly shards: number;
    readonly clock: Clock;
    readonly random: Random;
  }): Promise<Operator> {
    const view = await ClusterView.open({ ...of, log: silentLog });
    return new Operator(of.store, of.random, view, of.clock);
  }

  /** Something, whether that makes sense or not; what is refused is refused. */
  async act(nodes: readonly [string, ...string[]]): Promise<void> {
    const node = this.#random.pick(nodes);
    const atOnce = 1 + this.#random.below(8);
    const shard = this.#random.below(this.#view.shards);
    const move = (): Promise<unknown> => this.#admin['shards-move']({ shards: [shard], to: node }, { signal: never });
    const deeds: [() => Promise<unknown>, ...(() => Promise<unknown>)[]] = [
      move,
      move,
      move,
      move,
      move,
      move,
      () => this.#takeBack(shard),
      () => this.#admin['rebalance-run']({ atOnce, bytesPerSecond: null }, { signal: never }),
      () => this.#admin['rebalance-pause']({}, { signal: never }),
      () => this.#admin['rebalance-resume']({}, { signal: never }),
      () => this.#admin['rebalance-cancel']({}, { signal: never }),
      () => this.#admin.drain({ node, atOnce, bytesPerSecond: null }, { signal: never }),
      () => this.#admin.undrain({ node }, { signal: never }),
    ];
    await ifAllowed(this.#random.pick(deeds));
  }

  /** Everything that was begun is ended, and all that are there are made to have the same. Gives how many moves. */
  async balance(): Promise<number> {
    await ifAllowed(() => this.#admin['rebalance-cancel']({}, { signal: never }));
    await this.#view.refresh();
    for (const shard of this.#view.moves.keys()) await this.#takeBack(shard);
    for (const node of this.#view.draining) await this.#admin.undrain({ node }, { signal: never });
    return (await this.#admin['rebalance-run']({ atOnce: 4, bytesPerSecond: null }, { signal: never })).moves;
  }

  /** What is left to be done; empty where nothing is. */
  async left(): Promise<string> {
    const { rebalance } = await this.#admin['rebalance-status']({}, { signal: never });
    const { moves } = await this.#admin['rebalance-plan']({}, { signal: never });
    const asked = this.#view.moves.size;
    if (rebalance?.state === 'done' && rebalance.skipped + asked + moves.length === 0) return '';
    return `${asked} moves are asked for, ${moves.length} to be made yet: ${JSON.stringify(rebalance)}`;
  }

  close(): void {
    this.#view.close();
  }

  async #takeBack(shard: number): Promise<void> {
    await this.#store.txn({ compare: [], then: [{ kind: 'delete', key: moveKey(shard) }], otherwise: [] });
  }
}

async function ifAllowed(deed: () => Promise<unknown>): Promise<void> {
  try {
    await deed();
  } catch (error) {
    const isRefused = error instanceof MillpoolError && ['exists', 'invalid', 'not-found'].includes(error.code);
    if (!isRefused) throw error;
  }
}
