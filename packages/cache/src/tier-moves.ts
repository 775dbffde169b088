import { nameOf } from './segment-worths.ts';
import { mayGo } from './victims.ts';
import type { SegmentFacts } from './victims.ts';

/** How the tiers stand. Bytes that are on their way between them count as moved. */
export interface TierRoom {
  /** Free on the fast tier. */
  readonly fastBytes: number;
  /** Free on the slow tier, but for what is left for segments that are being filled. */
  readonly slowBytes: number;
  /** What the fast tier is to have free while more comes in. */
  readonly aheadBytes: number;
}

/** Whose records lie in segments, as far as it decides on their place. */
export interface TierTenant {
  readonly identity: string;
  /** It gives no room to others while somebody reads it. */
  readonly keeps: boolean;
  /** Some plan reads a part of it, or all. */
  readonly isPlanned: boolean;
  /** More of it comes in, or would. */
  readonly isFilling: boolean;
}

export interface TierMoves {
  readonly toSlow: readonly SegmentFacts[];
  readonly toFast: readonly SegmentFacts[];
}

const none: TierMoves = { toSlow: [], toFast: [] };
/** What was read so lately is in use, though no plan says so. */
const idleSeconds = 60;
/** Of an identity that a plan reads, of which not every sample is weighed: each segment is read more often than so. */
const plannedIdleSeconds = 600;

/**
 * The segments that change their tier now. Pure.
 *
 * While something comes in, the fast tier is kept free for it ahead of need: what no plan reads moves down, the longest
 * unread first, then of what comes in that which is read last. When nothing comes in, what plans read moves up, the
 * soonest first: into room that is free, or in the place of what no plan reads. One planned segment never takes the
 * place of another then: whatever the order, each is read as often, and both disks would do nothing else.
 *
 * @param worths by `nameOf`: what segments hold of what the open plans read; others are of no plan.
 */
export function pickMoves(
  segments: readonly SegmentFacts[],
  tenants: readonly TierTenant[],
  worths: ReadonlyMap<string, number>,
  room: TierRoom,
): TierMoves {
  const worthOf = (segment: SegmentFacts): number => (worths.get(nameOf(segment)) ?? 0) / Math.max(1, segment.bytes);
  const fast = segments.filter((segment) => segment.tier === 'fast' && mayGo(segment));
  const given = fast
    .filter((segment) => isGiven(segment, tenants, worths))
    .toSorted((a, b) => b.idleSeconds - a.idleSeconds);
  const filling = new Set(tenants.flatMap(({ identity, isFilling }) => (isFilling ? [identity] : [])));
  if (filling.size > 0) {
    const givenAway = new Set(given);
    const own = fast
      .filter((segment) => filling.has(segment.identity) && !givenAway.has(segment))
      .toSorted((a, b) => worthOf(a) - worthOf(b));
    return { ...none, toSlow: within([...given, ...own], room.aheadBytes - room.fastBytes, room.slowBytes) };
  }
  const isWanted = (segment: SegmentFacts): boolean => worthOf(segment) > 0 || segment.pinnedBytes > 0;
  const slow = segments.filter((segment) => segment.tier === 'slow' && segment.sealed && isWanted(segment));
  const [next] = slow.toSorted((a, b) => b.pinnedBytes - a.pinnedBytes || worthOf(b) - worthOf(a));
  if (next === undefined) return none;
  // With one to spare: what moved up is not to move down for the next that comes in.
  const lackBytes = 2 * next.bytes + room.aheadBytes - room.fastBytes;
  if (lackBytes <= 0) return { ...none, toFast: [next] };
  const unread = given.filter((segment) => segment.idleSeconds >= idleSeconds);
  return { ...none, toSlow: within(unread, lackBytes, room.slowBytes) };
}

/**
 * The segments of the slow tier to give up so that `wantedBytes` come free there: of those that nobody uses, then of
 * those among whom what was not read of late gives way to what was, each the longest unread first. Pure.
 */
export function pickSlowVictims(
  segments: readonly SegmentFacts[],
  { unused, sieving }: { readonly unused: ReadonlySet<string>; readonly sieving: ReadonlySet<string> },
  wantedBytes: number,
): readonly SegmentFacts[] {
  const slow = segments.filter((segment) => segment.tier === 'slow' && mayGo(segment));
  const of = (identities: ReadonlySet<string>): readonly SegmentFacts[] =>
    slow.filter(({ identity }) => identities.has(identity)).toSorted((a, b) => b.idleSeconds - a.idleSeconds);
  return within([...of(unused), ...of(sieving)], wantedBytes, Infinity);
}

/** Of no plan, and of nobody who keeps what he has. */
function isGiven(segment: SegmentFacts, tenants: readonly TierTenant[], worths: ReadonlyMap<string, number>): boolean {
  if (worths.has(nameOf(segment))) return false;
  const tenant = tenants.find(({ identity }) => identity === segment.identity);
  return tenant?.keeps !== true && (tenant?.isPlanned !== true || segment.idleSeconds >= plannedIdleSeconds);
}

/** The first ones that are `wantedBytes` together, as far as they find room. */
function within(ranked: readonly SegmentFacts[], wantedBytes: number, roomBytes: number): readonly SegmentFacts[] {
  const taken: SegmentFacts[] = [];
  let bytes = 0;
  for (const segment of ranked) {
    if (bytes >= wantedBytes || bytes + segment.bytes > roomBytes) break;
    taken.push(segment);
    bytes += segment.bytes;
  }
  return taken;
}
