import type { PlannedMove } from '@millpool/protocol';

export interface Ownership {
  /** By number; null where a shard has no owner. */
  readonly owners: readonly (string | null)[];
  /** Ids of the nodes that are to have shards. One that is left out gives away all that it has. */
  readonly nodes: readonly string[];
}

/**
 * Moves after which each node has as many shards as any other, or one more; there are no fewer that come to that. The
 * nodes that have the most keep the odd ones. The same ownership gives the same plan, and the plan's outcome none.
 */
export function rebalancePlanOf({ owners, nodes }: Ownership): PlannedMove[] {
  const owned = new Map(nodes.map((id) => [id, 0]));
  for (const owner of owners) if (owner !== null && owned.has(owner)) owned.set(owner, (owned.get(owner) ?? 0) + 1);
  if (owned.size === 0) return [];
  const total = owners.filter((owner) => owner !== null).length;
  const [least, odd] = [Math.floor(total / owned.size), total % owned.size];
  const byCount = [...owned].sort(([one, had], [other, has]) => has - had || (one < other ? -1 : 1));
  const room = new Map(byCount.map(([id, has], place) => [id, (place < odd ? least + 1 : least) - has]));
  const takers = byCount.flatMap(([id]) => Array<string>(Math.max(0, room.get(id) ?? 0)).fill(id));
  const moves: PlannedMove[] = [];
  for (const [shard, from] of owners.entries()) {
    if (from === null) continue;
    const left = room.get(from);
    if (left !== undefined && left >= 0) continue;
    const to = takers[moves.length];
    if (to === undefined) throw new RangeError('as many places are free as shards are to move');
    if (left !== undefined) room.set(from, left + 1);
    moves.push({ shard, from, to });
  }
  return moves;
}
