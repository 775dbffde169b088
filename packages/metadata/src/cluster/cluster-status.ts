import type {
  NodeStatus,
  PlannedSpread,
  RebalancePlan,
  RebalanceStatus,
  ShardContent,
  ShardStatus,
} from '@millpool/protocol';

import type { ClusterView } from './cluster-view.ts';
import { rebalancePlanOf } from './rebalance-plan.ts';
import type { Ownership } from './rebalance-plan.ts';
import { progressOf } from './rebalance-progress.ts';
import type { RebalanceRecord } from './rebalance-record.ts';
import type { ToldContents } from './shard-contents.ts';

/** Those that are there, and those that are not and have shards yet or are to be drained; in the order of their ids. */
export function nodesOf(view: ClusterView): NodeStatus[] {
  const counts = new Map<string, number>();
  for (const owner of ownersOf(view)) if (owner !== null) counts.set(owner, (counts.get(owner) ?? 0) + 1);
  const { draining, awaited } = view;
  const ids = new Set([...view.nodes.map(({ id }) => id), ...counts.keys(), ...draining, ...awaited.keys()]);
  return [...ids].sort().map((id) => {
    const node = view.node(id);
    return {
      id,
      address: node?.address ?? '',
      version: node?.version ?? '',
      roles: node?.roles ?? [],
      joinedAt: node?.joinedAt ?? null,
      shards: counts.get(id) ?? 0,
      draining: draining.has(id),
      awaitedUntil: awaited.get(id) ?? null,
    };
  });
}

export function shardsOf(view: ClusterView): ShardStatus[] {
  return Array.from({ length: view.shards }, (_, shard) => {
    const owned = view.ownerOf(shard);
    return {
      shard,
      owner: owned?.owner ?? null,
      term: owned?.term ?? 0,
      isServed: owned !== null && view.node(owned.owner) !== null,
      movingTo: view.moveOf(shard)?.to ?? null,
    };
  });
}

export function planOf(view: ClusterView, { contents, missing }: ToldContents): RebalancePlan {
  const { awaited } = view;
  // What is waited for stays where it is.
  const owners = ownersOf(view).map((owner) => (owner !== null && awaited.has(owner) ? null : owner));
  const nodes = view.takers.map(({ id }) => id);
  const moves = rebalancePlanOf({ owners, nodes, contents });
  const after = [...owners];
  for (const { shard, to } of moves) after[shard] = to;
  const spreadOf = (amounts: readonly number[]): PlannedSpread => ({
    maxOverMean: maxOverMean({ owners, nodes, amounts }),
    maxOverMeanAfter: maxOverMean({ owners: after, nodes, amounts }),
    moved: moves.reduce((sum, { shard }) => sum + (amounts[shard] ?? 0), 0),
  });
  const amountsOf = (of: (content: ShardContent) => number): number[] => {
    const amounts = owners.map(() => 0);
    for (const content of contents) amounts[content.shard] = (amounts[content.shard] ?? 0) + of(content);
    return amounts;
  };
  const shards = spreadOf(owners.map(() => 1));
  return {
    moves,
    maxOverMean: shards.maxOverMean,
    maxOverMeanAfter: shards.maxOverMeanAfter,
    entries: spreadOf(amountsOf(({ entries }) => entries)),
    bytes: spreadOf(amountsOf(({ bytes }) => bytes)),
    readsPerS: spreadOf(amountsOf(({ readsPerS }) => readsPerS)),
    missing,
  };
}

export function statusOf(record: RebalanceRecord, view: ClusterView): RebalanceStatus {
  const { id, state, reason, startedAt, endedAt, atOnce, bytesPerSecond, moves } = record;
  const { done, skipped } = record.outcome ?? progressOf(record, view);
  return { id, state, reason, startedAt, endedAt, atOnce, bytesPerSecond, moves: moves.length, done, skipped };
}

/** By shard. */
function ownersOf(view: ClusterView): (string | null)[] {
  return Array.from({ length: view.shards }, (_, shard) => view.ownerOf(shard)?.owner ?? null);
}

/** Of all that are owned, the nodes that are to have none included in the greatest, not in the mean; 1 for nothing. */
function maxOverMean({
  owners,
  nodes,
  amounts,
}: Omit<Ownership, 'contents'> & { readonly amounts: readonly number[] }): number {
  const counts = new Map(nodes.map((id) => [id, 0]));
  owners.forEach((owner, shard) => {
    if (owner !== null) counts.set(owner, (counts.get(owner) ?? 0) + (amounts[shard] ?? 0));
  });
  const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
  return total === 0 || nodes.length === 0 ? 1 : Math.max(...counts.values()) / (total / nodes.length);
}
