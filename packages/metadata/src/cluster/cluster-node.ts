import type { CoordStore, LeaseTimes } from '@millpool/coordination';
import type { Clock, Log } from '@millpool/host';

import { Adopter } from './adopter.ts';
import { ClusterView } from './cluster-view.ts';
import { Membership } from './membership.ts';
import { Mover } from './mover.ts';
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

/** A node among others: it is a member, knows who owns what, and sees to it that everything is owned. */
export class ClusterNode {
  readonly id: string;
  readonly view: ClusterView;
  readonly #membership: Membership;
  readonly #mover: Mover;
  readonly #adopter: Adopter;

  private constructor(view: ClusterView, membership: Membership, mover: Mover, adopter: Adopter) {
    this.id = membership.id;
    this.view = view;
    this.#membership = membership;
    this.#mover = mover;
    this.#adopter = adopter;
  }

  static async start({ node, shards, store, clock, log, times = leaseTimes }: ClusterNodeConfig): Promise<ClusterNode> {
    const view = await ClusterView.open({ store, shards, clock, log });
    let membership: Membership | null = null;
    try {
      const joined = await Membership.join({ node, store, clock, log, times, onJoined: () => view.refresh() });
      membership = joined;
      const mover = await Mover.start({ id: node.id, view, store, clock, log, isClear: () => joined.isClear });
      return new ClusterNode(view, joined, mover, Adopter.start({ view, store, clock, log }));
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
    if (!this.#membership.isClear || this.#mover.isLeaving(shard)) return null;
    const owned = this.view.ownerOf(shard);
    return owned?.owner === this.id ? owned.term : null;
  }

  async stop(): Promise<void> {
    await this.#mover.stop();
    await this.#adopter.stop();
    await this.#membership.leave();
    this.view.close();
  }
}
