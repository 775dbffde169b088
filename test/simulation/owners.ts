import type { SimulatedNode } from './simulated-node.ts';

/** Who was seen to own what, in which term. Throws where two do, or a term has a second owner. */
export class Owners {
  readonly #shards: number;
  readonly #ownerOf = new Map<string, string>();
  readonly #termOf = new Map<number, number>();

  constructor(shards: number) {
    this.#shards = shards;
  }

  /** At one moment, of all nodes that run. */
  check(nodes: readonly SimulatedNode[]): void {
    for (let shard = 0; shard < this.#shards; shard += 1) {
      let owner: string | null = null;
      for (const node of nodes) {
        const term = node.termOf(shard);
        if (term === null) continue;
        if (owner !== null) throw new Error(`shard ${shard} has two owners: ${owner} and ${node.id}`);
        owner = node.id;
        this.#note(shard, owner, term);
      }
    }
  }

  #note(shard: number, id: string, term: number): void {
    const before = this.#termOf.get(shard) ?? 0;
    if (term < before) throw new Error(`shard ${shard} went back from term ${before} to ${term} of ${id}`);
    this.#termOf.set(shard, term);
    const name = `${shard} ${term}`;
    const owner = this.#ownerOf.get(name) ?? id;
    if (owner !== id) throw new Error(`term ${term} of shard ${shard} had the owners ${owner} and ${id}`);
    this.#ownerOf.set(name, owner);
  }
}
