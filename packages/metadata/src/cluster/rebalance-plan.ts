import type { PlannedMove, ShardContent } from '@millpool/protocol';

export interface Ownership {
  /** By number; null where a shard has no owner. */
  readonly owners: readonly (string | null)[];
  /** Ids of the nodes that are to have shards. One that is left out gives away all that it has. */
  readonly nodes: readonly string[];
  /** What is known of shards, in any order; of the others, that they are empty. */
  readonly contents?: readonly ShardContent[];
}

/** A shard with nothing in it weighs as much as so many entries, and so many reads a second. */
const baseEntries = 10_000;
const baseReadsPerS = 100;
/** Of the mean: nodes that differ by less are even. */
const evenShare = 0.01;
/** A move that turns the two nodes' difference around gains little. */
const gapShareMax = 0.8;

/**
 * Moves after which the nodes are about even, by entries and reads in equal parts; shards of which nothing is known
 * count alone, and are as even as they can be. What a node that is left out has goes first, the heaviest first, each to
 * the node that has least; then, again and again, the node with most gives the one with least the shard that makes them
 * most alike. The same ownership gives the same plan, and the plan's outcome none.
 */
export function rebalancePlanOf({ owners, nodes, contents = [] }: Ownership): PlannedMove[] {
  if (nodes.length === 0) return [];
  const weights = weightsOf(owners, contents);
  const shares = new Map(nodes.map((id) => [id, new NodeShare(id)]));
  const leaving: { readonly shard: number; readonly from: string }[] = [];
  owners.forEach((owner, shard) => {
    if (owner === null) return;
    const share = shares.get(owner);
    if (share === undefined) leaving.push({ shard, from: owner });
    else share.add(shard, weights[shard] as number);
  });
  const moves: PlannedMove[] = [];
  const all = [...shares.values()];
  leaving.sort((one, other) => (weights[other.shard] as number) - (weights[one.shard] as number));
  for (const { shard, from } of leaving) {
    const to = leastOf(all);
    to.add(shard, weights[shard] as number, false);
    moves.push({ shard, from, to: to.id });
  }
  const mean = all.reduce((sum, { weight }) => sum + weight, 0) / all.length;
  for (;;) {
    const [from, to] = [mostOf(all), leastOf(all)];
    const shard = from.weight - to.weight > evenShare * mean ? from.bestFor(to) : null;
    if (shard === null) break;
    from.remove(shard);
    to.add(shard, weights[shard] as number, false);
    moves.push({ shard, from: from.id, to: to.id });
  }
  return moves.toSorted((one, other) => one.shard - other.shard);
}

/** By shard; all that are owned are 1 together. */
function weightsOf(owners: Ownership['owners'], contents: readonly ShardContent[]): number[] {
  const weights = (of: (content: ShardContent) => number, base: number): number[] => {
    const own = owners.map((owner) => (owner === null ? 0 : base));
    for (const content of contents) {
      if (own[content.shard] !== undefined && owners[content.shard] !== null) own[content.shard]! += of(content);
    }
    const total = own.reduce((sum, weight) => sum + weight, 0);
    return own.map((weight) => (total === 0 ? 0 : weight / total));
  };
  const byReads = weights(({ readsPerS }) => readsPerS, baseReadsPerS);
  return weights(({ entries }) => entries, baseEntries).map((weight, shard) => (weight + (byReads[shard] ?? 0)) / 2);
}

/** What one node has, or is to have. */
class NodeShare {
  readonly id: string;
  weight = 0;
  count = 0;
  /** Those that are not to come from elsewhere: each shard moves once. */
  readonly #own = new Map<number, number>();

  constructor(id: string) {
    this.id = id;
  }

  add(shard: number, weight: number, isOwn = true): void {
    this.weight += weight;
    this.count += 1;
    if (isOwn) this.#own.set(shard, weight);
  }

  remove(shard: number): void {
    this.weight -= this.#own.get(shard) ?? 0;
    this.count -= 1;
    this.#own.delete(shard);
  }

  /** The shard that makes the two most alike; null where none makes them more so. */
  bestFor(to: NodeShare): number | null {
    const gap = this.weight - to.weight;
    let best: number | null = null;
    let least = gap;
    for (const [shard, weight] of this.#own) {
      const left = Math.abs(gap - 2 * weight);
      if (weight <= gapShareMax * gap && left < least) [best, least] = [shard, left];
    }
    return best;
  }
}

/** Of equals the one with fewer shards, then the first by id. */
function leastOf(shares: readonly NodeShare[]): NodeShare {
  return shares.reduce((one, other) => (isBefore(other, one) ? other : one));
}

function mostOf(shares: readonly NodeShare[]): NodeShare {
  return shares.reduce((one, other) => (isBefore(one, other) ? other : one));
}

function isBefore(one: NodeShare, other: NodeShare): boolean {
  if (one.weight !== other.weight) return one.weight < other.weight;
  return one.count === other.count ? one.id < other.id : one.count < other.count;
}
