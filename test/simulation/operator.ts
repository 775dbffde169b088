import type { CoordStore } from '@millpool/coordination';
import { encodeMove, moveKey, movePrefix, rebalancePlanOf } from '@millpool/metadata/cluster';
import type { Ownership } from '@millpool/metadata/cluster';

import type { Random } from './random.ts';

const all = { limit: 1_000, after: null };

/** Somebody at a terminal who looks at the cluster and asks for moves: of some shards anywhere, or to be balanced. */
export class Operator {
  readonly #store: CoordStore;
  readonly #random: Random;

  constructor(store: CoordStore, random: Random) {
    this.#store = store;
    this.#random = random;
  }

  /** A move of one shard to one node, whether that makes sense or not; or one that was asked for is taken back. */
  async moveAny(shards: number, nodes: readonly [string, ...string[]]): Promise<void> {
    const shard = this.#random.below(shards);
    if (this.#random.chance(0.2)) {
      const key = moveKey(shard);
      await this.#store.txn({ compare: [], then: [{ kind: 'delete', key }], otherwise: [] });
    } else {
      await this.#ask(shard, this.#random.pick(nodes));
    }
  }

  /** All that makes the nodes that are there have the same. Gives how many moves that takes. */
  async balance(): Promise<number> {
    const plan = rebalancePlanOf(await this.#ownership());
    for (const { shard, to } of plan) await this.#ask(shard, to);
    return plan.length;
  }

  /** How many moves are asked for and not done. */
  async asked(): Promise<number> {
    return (await this.#store.range({ prefix: movePrefix, ...all })).entries.length;
  }

  async #ask(shard: number, to: string): Promise<void> {
    const value = encodeMove({ to, reason: 'simulated' });
    await this.#store.txn({ compare: [], then: [{ kind: 'put', key: moveKey(shard), value }], otherwise: [] });
  }

  async #ownership(): Promise<Ownership> {
    const nodes = await this.#store.range({ prefix: 'node/', ...all });
    const shards = await this.#store.range({ prefix: 'shard/', ...all });
    return {
      nodes: nodes.entries.map(({ key }) => key.slice('node/'.length)),
      owners: shards.entries.map(({ value }) => (JSON.parse(Buffer.from(value).toString()) as { owner: string }).owner),
    };
  }
}
