import type { CoordStore, LeaseTimes } from '@millpool/coordination';
import type { Clock, Log } from '@millpool/host';

import { Adopter } from './adopter.ts';
import { ClusterView } from './cluster-view.ts';
import { Membership } from './membership.ts';
import { Mover } from './mover.ts';
import type { PreparedMove } from './mover.ts';
import { Rebalancer } from './rebalancer.ts';
import type { NodeRecord } from './node-record.ts';

/** A node that is gone is known to be after 6 s, and has stopped acting 2 s before. */
export const leaseTimes: LeaseTimes = { ttlSeconds: 6, actSeconds: 4, keepEverySeconds: 1 };

export interface ClusterNodeConfig {
  readonly node: Omit<NodeRecord, 'joinedAt'>;
  readonly shards: number;
  readonly store: CoordStore;
  readonly clock: Clock;
  readonly log: Log;
  readonly times?: LeaseTimes;
}

/** What a node does that may own shards. */
interface Duties {
  readonly mover: Mover;
  readonly adopter: Adopter;
  readonly rebalancer: Rebalancer;
}

/** A node among others: it is a member, knows who owns what, and sees to it that everything is owned. */
export class ClusterNode {
  readonly id: string;
  readonly view: ClusterView;
  readonly #membership: Membership;
  /** Null for a node that only asks. */
  readonly #duties: Duties | null;

  private constructor(view: ClusterView, membership: Membership, duties: Duties | null) {
    this.id = membership.id;
    this.view = view;
    this.#membership = membership;
    this.#duties = duties;
  }

  static async start({ node, shards, store, clock, log, times = leaseTimes }: ClusterNodeConfig): Promise<ClusterNode> {
    const view = await ClusterView.open({ store, shards, clock, log });
    let membership: Membership | null = null;
    try {
      const joined = await Membership.join({ node, store, clock, log, times, onJoined: () => view.refresh() });
      membership = joined;
      if (!node.roles.includes('metadata')) return new ClusterNode(view, joined, null);
      const parts = { id: node.id, view, store, clock, log };
      const mover = Mover.start({ ...parts, isClear: () => joined.isClear });
      const [rebalancer, adopter] = [Rebalancer.start(parts), Adopter.start(parts)];
      return new ClusterNode(view, joined, { mover, rebalancer, adopter });
    } catch (error) {
      // A member that answers for nothing would keep others from its shards.
      await membership?.leave();
      view.close();
      throw error;
    }
  }

  /**
   * The term in which this node owns a shard, now; null where it does not, or may not. An answer that rests on it asks
   * again just before it leaves.
   */
  termOf(shard: number): number | null {
    const [term = null] = this.termsOf([shard]);
    return term;
  }

  /** The same of many, at once: how long the machine has been up, which is read from a file, is read once. */
  termsOf(shards: readonly number[]): (number | null)[] {
    const duties = this.#duties;
    if (duties === null || !this.#membership.isClear) return shards.map(() => null);
    return shards.map((shard) => {
      const owned = this.view.ownerOf(shard);
      return owned?.owner === this.id && !duties.mover.isLeaving(shard) ? owned.term : null;
    });
  }

  /** It is the owner by what the coordination store says; whether it may answer as that is another matter. */
  isNamed(shard: number): boolean {
    return this.view.ownerOf(shard)?.owner === this.id;
  }

  /** What it does before it hands a shard over, which waits for that. */
  beforeMoves(prepare: PreparedMove): void {
    this.#duties?.mover.beforeMoves(prepare);
  }

  /** Where it owns shards, they wait so long for it to be back. */
  async stop(graceMs = 0): Promise<void> {
    await this.#duties?.rebalancer.stop();
    await this.#duties?.mover.stop();
    await this.#duties?.adopter.stop();
    await this.#membership.leave(this.#ownsAny() ? graceMs : 0);
    this.view.close();
  }

  #ownsAny(): boolean {
    return Array.from({ length: this.view.shards }, (_, shard) => shard).some((shard) => this.isNamed(shard));
  }
}
