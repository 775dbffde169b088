import { mayGo } from './victims.ts';
import type { SegmentFacts } from './victims.ts';

/** A segment, and what copies of its live records would take. */
export interface Candidate extends SegmentFacts {
  readonly packedBytes: number;
}

/** What there is to copy with. */
export interface CopyTerms {
  /** That may be written. */
  readonly budgetBytes: number;
  /** On devices. */
  readonly roomBytes: number;
  /** Room that is about to come by itself. */
  readonly comingBytes: number;
}

export type CopyChoice =
  | { readonly kind: 'copy'; readonly segment: Candidate }
  /** There is no room to copy anything, and what would be lost with it is little beside what copying then frees. */
  | { readonly kind: 'give-up'; readonly segment: Candidate }
  | { readonly kind: 'wait'; readonly lacking: 'garbage' | 'budget' | 'room' };

/** What is copied frees at least this share of its segment: a byte that comes free costs three written ones at most. */
const leastGainShare = 1 / 4;
/** What is lost for want of room is at most this much of what copying is about to free. */
const mostLossShare = 1 / 4;

/** Whether it may be worth copying, before that is counted: padding is no garbage, and looks like it from here. */
export function mayBeWorthCopying({ sealed, bytes, liveBytes }: SegmentFacts): boolean {
  return sealed && bytes - liveBytes >= bytes * leastGainShare;
}

/**
 * Which segment is copied forward next: the one with the least live in it, if enough of it comes free. Nobody is
 * preferred: what was forgotten is of no use to whoever it belonged to. Pure.
 */
export function chooseCopy(candidates: readonly Candidate[], terms: CopyTerms): CopyChoice {
  const { budgetBytes, roomBytes, comingBytes } = terms;
  const worth = candidates
    .filter(({ sealed, bytes, packedBytes }) => sealed && bytes - packedBytes >= bytes * leastGainShare)
    .toSorted((a, b) => a.packedBytes / a.bytes - b.packedBytes / b.bytes);
  const [best, ...others] = worth;
  if (best === undefined) return { kind: 'wait', lacking: 'garbage' };
  if (best.packedBytes > budgetBytes) return { kind: 'wait', lacking: 'budget' };
  if (best.packedBytes <= roomBytes) return { kind: 'copy', segment: best };
  const gainBytes = others.reduce((sum, { bytes, packedBytes }) => sum + bytes - packedBytes, 0);
  const isLittle = best.packedBytes <= gainBytes * mostLossShare;
  if (comingBytes === 0 && mayGo(best) && isLittle) return { kind: 'give-up', segment: best };
  return { kind: 'wait', lacking: 'room' };
}
