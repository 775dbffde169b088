import type { OwnedShard } from './cluster-view.ts';

/** What is known of a cluster at a moment. */
export interface ClusterState {
  /** By number; null where a shard never had an owner. */
  readonly owners: readonly (OwnedShard | null)[];
  /** Ids of the nodes that are there. */
  readonly nodes: readonly string[];
  /** Ids of nodes that are not there and keep what they have. */
  readonly awaited: readonly string[];
  /** Of those that are there, the ones that are to have shards. */
  readonly takers: readonly string[];
}

/** A shard without a living owner, and who gets it. */
export interface Adoption {
  readonly shard: number;
  readonly from: OwnedShard | null;
  readonly to: string;
}

/**
 * Shares out what nobody living owns, each to whoever has the fewest then; what has an owner stays, whoever joins. The
 * same state gives the same adoptions.
 */
export function adoptionsOf({ owners, nodes, awaited, takers }: ClusterState): Adoption[] {
  const keeping = new Set([...nodes, ...awaited]);
  const counts = new Map(takers.map((id) => [id, 0]));
  for (const owner of owners) {
    const count = owner === null ? undefined : counts.get(owner.owner);
    if (owner !== null && count !== undefined) counts.set(owner.owner, count + 1);
  }
  if (counts.size === 0) return [];
  return owners.flatMap((from, shard) => {
    if (from !== null && keeping.has(from.owner)) return [];
    const [to] = [...counts].reduce((fewest, next) => (next[1] < fewest[1] ? next : fewest));
    counts.set(to, (counts.get(to) ?? 0) + 1);
    return [{ shard, from, to }];
  });
}
