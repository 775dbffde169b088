import type { CoordStore } from '@millpool/coordination';
import { silentLog } from '@millpool/host';
import type { Clock } from '@millpool/host';
import { ClusterNode } from '@millpool/metadata/cluster';

import type { LeaseTimes } from '@millpool/coordination';

import { NodeClock } from './node-clock.ts';
import type { Random } from './random.ts';
import { StoreLink } from './store-link.ts';
import type { Weather } from './store-link.ts';

export interface SimulatedNodeConfig {
  readonly id: string;
  readonly shards: number;
  readonly world: Clock;
  readonly store: CoordStore;
  readonly random: Random;
  readonly weather: Weather;
  readonly times: LeaseTimes;
  /** How far its clock may be off, as a share of its rate. */
  readonly drift: number;
  /** What it answers. */
  readonly termOf: (node: ClusterNode, shard: number) => number | null;
}

/** One process of a cluster: it starts, and may be frozen, cut off, stopped or killed. */
export class SimulatedNode {
  readonly id: string;
  readonly clock: NodeClock;
  readonly link: StoreLink;
  readonly #termOf: SimulatedNodeConfig['termOf'];
  #node: ClusterNode | null = null;

  private constructor(config: SimulatedNodeConfig) {
    const { id, world, store, random, weather, drift } = config;
    this.id = id;
    this.#termOf = config.termOf;
    this.clock = new NodeClock(world, random.between(1 - drift, 1 + drift));
    this.link = new StoreLink(store, { clock: this.clock, network: world, random, weather });
  }

  static start(config: SimulatedNodeConfig): SimulatedNode {
    const node = new SimulatedNode(config);
    void node.#start(config);
    return node;
  }

  /** What it would answer by now; null also while it answers nobody. */
  termOf(shard: number): number | null {
    return this.clock.isRunning && this.#node !== null ? this.#termOf(this.#node, shard) : null;
  }

  /** Others wait so long for it. */
  async stop(graceMs: number): Promise<void> {
    await this.#node?.stop(graceMs);
  }

  /** Tries until it is in. */
  async #start({ id, shards, times }: SimulatedNodeConfig): Promise<void> {
    const node = { id, address: `${id}:7070`, version: '0.0.0', roles: ['metadata'] as const };
    while (this.#node === null) {
      const starting = ClusterNode.start({ node, shards, store: this.link, clock: this.clock, log: silentLog, times });
      this.#node = await starting.catch(() => null);
      if (this.#node === null) await this.clock.sleep(1_000);
    }
  }
}
