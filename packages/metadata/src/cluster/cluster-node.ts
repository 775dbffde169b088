import type { CoordStore, LeaseTimes } from '@millpool/coordination';
import type { Clock, Log } from '@millpool/host';

import { Adopter } from './adopter.ts';
import { ClusterView } from './cluster-view.ts';
import { Membership } from './membership.ts';
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
  readonly #adopter: Adopter;

  private constructor(id: string, view: ClusterView, membership: Membership, adopter: Adopter) {
    this.id = id;
    this.view = view;
    this.#membership = membership;
    this.#adopter = adopter;
  }

  static async start({ node, shards, store, clock, log, times = leaseTimes }: ClusterNodeConfig): Promise<ClusterNode> {
    const view = await ClusterView.open({ store, shards, clock, log });
    try {
      const membership = await Membership.join({ node, store, clock, log, times, onJoined: () => view.refresh() });
      return new ClusterNode(node.id, view, membership, Adopter.start({ view, store, clock, log }));
    } catch (error) {
      view.close();
      throw error;
    }
  }

  /**
   * The term in which this node owns a shard, now; null where it does not, or may not. An answer that rests on it asks
   * again just before it leaves.
   */
  termOf(shard: number): number | null {
    if (!this.#membership.isClear) return null;
    const owned = this.view.ownerOf(shard);
    return owned?.owner === this.id ? owned.term : null;
  }

  async stop(): Promise<void> {
    await this.#adopter.stop();
    await this.#membership.leave();
    this.view.close();
  }
}
