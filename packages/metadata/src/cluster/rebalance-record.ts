import type { KeyValue } from '@millpool/coordination';
import { MillpoolError, rebalanceStates } from '@millpool/protocol';
import type { PlannedMove, RebalanceState } from '@millpool/protocol';

import { clusterPrefix } from './cluster-key.ts';

/** In the coordination store: the last rebalance, under way or ended. */
export const rebalanceKey = `${clusterPrefix}rebalance`;

/** What became of moves that are not left. */
export interface RebalanceOutcome {
  readonly done: number;
  /** The shard went to another meanwhile, or the node that was to have it is gone. */
  readonly skipped: number;
}

export interface RebalanceRecord {
  readonly id: string;
  readonly state: RebalanceState;
  readonly reason: string;
  /** ISO 8601. */
  readonly startedAt: string;
  readonly endedAt: string | null;
  /** As it was when it ended; null before. Shards move again later, which is no matter of this one. */
  readonly outcome: RebalanceOutcome | null;
  readonly atOnce: number;
  readonly bytesPerSecond: number | null;
  /** In the order in which they are asked for. */
  readonly moves: readonly PlannedMove[];
}

/** A rebalance, and the revision by which it is changed. */
export interface KeptRebalance extends RebalanceRecord {
  readonly modRevision: number;
}

export function encodeRebalance({ moves, ...rest }: RebalanceRecord): Uint8Array {
  return Buffer.from(JSON.stringify({ ...rest, moves: moves.map(({ shard, from, to }) => [shard, from, to]) }));
}

/** Throws `corrupt`. */
export function decodeRebalance({ key, value, modRevision }: KeyValue): KeptRebalance {
  try {
    const said = JSON.parse(Buffer.from(value).toString()) as Partial<Omit<RebalanceRecord, 'moves'>> & {
      readonly moves?: readonly (readonly [number, string, string])[];
    };
    const { id, state, reason, startedAt, endedAt = null, outcome = null, atOnce, bytesPerSecond = null, moves } = said;
    const isWhole = [id, reason, startedAt].every((text) => typeof text === 'string') && Number.isSafeInteger(atOnce);
    if (isWhole && rebalanceStates.some((known) => known === state) && Array.isArray(moves)) {
      const planned = moves.map(([shard, from, to]) => ({ shard, from, to }));
      const pace = { atOnce, bytesPerSecond };
      return { id, state, reason, startedAt, endedAt, outcome, ...pace, moves: planned, modRevision } as KeptRebalance;
    }
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof TypeError)) throw error;
  }
  throw new MillpoolError({
    code: 'corrupt',
    message: `${key} in the coordination store is damaged`,
    remedy: 'Delete it, and plan the rebalance again.',
  });
}
