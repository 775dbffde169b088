import type { PlannedMove } from '@millpool/protocol';

import type { ClusterView } from './cluster-view.ts';
import type { RebalanceOutcome, RebalanceRecord } from './rebalance-record.ts';

/** What has become of the moves of a rebalance. */
export interface RebalanceProgress extends RebalanceOutcome {
  readonly left: readonly PlannedMove[];
}

export function progressOf({ moves }: Pick<RebalanceRecord, 'moves'>, view: ClusterView): RebalanceProgress {
  const left: PlannedMove[] = [];
  let done = 0;
  for (const move of moves) {
    const owner = view.ownerOf(move.shard)?.owner;
    if (owner === move.to) done += 1;
    else if (owner === move.from && view.node(move.to) !== null) left.push(move);
  }
  return { done, skipped: moves.length - done - left.length, left };
}
