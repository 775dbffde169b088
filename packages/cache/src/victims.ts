import type { Tier } from '@millpool/protocol';

import type { Giver } from './deal.ts';

/** What eviction knows of a segment. */
export interface SegmentFacts {
  readonly number: number;
  readonly generation: number;
  readonly identity: string;
  readonly device: number;
  readonly tier: Tier;
  readonly bytes: number;
  readonly liveBytes: number;
  /** Of `liveBytes`; a segment with any of it stays. */
  readonly pinnedBytes: number;
  readonly sealed: boolean;
  /** Seconds since some reader last took a sample from it. */
  readonly idleSeconds: number;
  /** Batches that some of it was read for, in this run. */
  readonly reads: number;
}

/**
 * The segments to give up so that `wantedBytes` come free: of the first giver first, and of each those with the least
 * live in them, then the longest unread. Open segments stay, and those with something pinned; nobody gives more than it
 * is to. Pure.
 */
export function pickVictims(
  segments: readonly SegmentFacts[],
  givers: readonly Giver[],
  wantedBytes: number,
): readonly SegmentFacts[] {
  const victims: SegmentFacts[] = [];
  let left = wantedBytes;
  for (const { identity, bytesMax } of givers) {
    let given = 0;
    const own = segments.filter((segment) => segment.identity === identity && mayGo(segment));
    for (const segment of own.toSorted((a, b) => liveShare(a) - liveShare(b) || b.idleSeconds - a.idleSeconds)) {
      if (left <= 0) return victims;
      if (given + segment.bytes > bytesMax) break;
      victims.push(segment);
      given += segment.bytes;
      left -= segment.bytes;
    }
  }
  return victims;
}

/** Whatever else is said of it. */
export function mayGo({ sealed, pinnedBytes }: SegmentFacts): boolean {
  return sealed && pinnedBytes === 0;
}

/** In eighths: a record that was forgotten makes no segment less worth than another. */
function liveShare({ liveBytes, bytes }: SegmentFacts): number {
  return Math.round((8 * liveBytes) / Math.max(1, bytes));
}
