import type { Freshness } from '@millpool/protocol';

/** A listing that began at this time or later may be answered from. */
export function floorMsOf(freshness: Freshness, nowMs: number): number {
  switch (freshness.kind) {
    case 'immutable':
      return Number.NEGATIVE_INFINITY;
    case 'ttl':
      return nowMs - 1_000 * freshness.seconds;
    case 'strict':
      return nowMs;
  }
}
