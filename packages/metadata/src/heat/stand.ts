import type { Rung } from '@millpool/protocol';

/** Where a directory stands on the ladder: what the next decision has to know of the last. */
export interface Stand {
  readonly rung: Rung;
  /** Hash of the name that has replicas, on that rung. */
  readonly entry: number | null;
  readonly sinceMs: number;
  /** Since when it has been cool without a break. */
  readonly coolSinceMs: number | null;
}

export function groundStand(nowMs: number): Stand {
  return { rung: 'none', entry: null, sinceMs: nowMs, coolSinceMs: null };
}
