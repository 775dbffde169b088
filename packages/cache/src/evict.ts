import type { Policy } from '@millpool/protocol';

/** What eviction knows of a segment. */
export interface SegmentFacts {
  readonly number: number;
  readonly identity: string;
  readonly device: number;
  readonly bytes: number;
  readonly sealed: boolean;
  /** Seconds since some reader last took a sample from it. */
  readonly idleSeconds: number;
}

/** How an attachment's segments may go. */
export interface Tenant {
  readonly policy: Policy;
  /** Seconds since anybody read any of it. */
  readonly idleSeconds: number;
}

/** A dataset that nobody has read for this long may go under `auto` and `keep`. */
export const idleTenantSeconds = 3600;

/**
 * The segments to give up, so that `wanted` bytes come free, in the order to give them up. Pure.
 *
 * Segments of nobody (their attachment is gone) go first, then those of attachments that nobody has read for an hour,
 * the longest unread first, then the least recently read of attachments under `sieve`. `keep` and `auto` never give up
 * what is in use: when each sample is read once an epoch, no policy beats keeping what came first (DESIGN §5), and LRU
 * throws away just what the next epoch needs.
 */
export function pickVictims(
  segments: readonly SegmentFacts[],
  tenants: ReadonlyMap<string, Tenant>,
  wanted: number,
): readonly number[] {
  const rank = (segment: SegmentFacts): number | null => {
    const tenant = tenants.get(segment.identity);
    if (tenant === undefined) return 0;
    if (tenant.policy === 'stream') return 1;
    if (tenant.idleSeconds >= idleTenantSeconds) return 2;
    return tenant.policy === 'sieve' ? 3 : null;
  };
  const candidates = segments
    .flatMap((segment) => {
      const place = segment.sealed ? rank(segment) : null;
      return place === null ? [] : [{ segment, place }];
    })
    .sort((a, b) => a.place - b.place || b.segment.idleSeconds - a.segment.idleSeconds);
  const victims: number[] = [];
  let freed = 0;
  for (const { segment } of candidates) {
    if (freed >= wanted) break;
    victims.push(segment.number);
    freed += segment.bytes;
  }
  return victims;
}
