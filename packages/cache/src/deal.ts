import { dealShares } from './shares.ts';
import { isInUse } from './tenants.ts';
import type { Tenant } from './tenants.ts';

/** The room of all devices together. */
export interface Room {
  /** What all tenants have, and what is free. */
  readonly capacityBytes: number;
  /** Not taken, nor claimed. */
  readonly freeBytes: number;
  /** As much as is made free ahead of need, so that a segment can always be begun. */
  readonly spareBytes: number;
  /** Somebody loads what is pinned: so much is to come free for it, and nobody else gets any of it. Null: nobody. */
  readonly claimedBytes: number | null;
}

/** Who may have how much, and who gives up how much for whom. */
export interface Deal {
  /** Of each tenant in use while they do not all fit; null: everybody has what it needs. */
  readonly shares: ReadonlyMap<string, number> | null;
  /** What each may have from now on; null: all there is. */
  readonly quotas: ReadonlyMap<string, number | null>;
  /** To come free now. */
  readonly wantedBytes: number;
  /** Who gives, the first first, and how much at most. */
  readonly givers: readonly Giver[];
}

export interface Giver {
  readonly identity: string;
  readonly bytesMax: number;
}

/** Who has less than its share by no more than this does without: rates are never quite the same twice. */
const slackShare = 0.05;
/** No more is given up at once: it is to be filled again before more is. */
const stepShare = 1 / 16;

/**
 * Deals the cache among its tenants. Pure.
 *
 * While all that is in use fits, nobody is limited, and who comes to want room gets it from those that nobody uses: the
 * detached, `stream`, and what was not read for `idleMs`. When it does not fit, each tenant in use has a share by what
 * it reads (`dealShares`): room that is free goes to anybody, but first to those below their share, and they get more
 * from those above theirs. `keep` gives nothing as long as it is in use. Whoever has its share keeps what it has: when
 * each sample is read once an epoch, no policy beats keeping what came first (docs/concepts.md). A load of what is
 * pinned gets its room from everybody.
 */
export function deal(room: Room, tenants: readonly Tenant[], idleMs: number): Deal {
  const inUse = tenants.filter((tenant) => isInUse(tenant, idleMs));
  const shares = dealShares(room.capacityBytes, inUse);
  const lacks = new Map(inUse.map((tenant) => [tenant.identity, lackOf(tenant, shares, room)]));
  const allLack = [...lacks.values()].reduce((sum, bytes) => sum + bytes, 0);
  const quotas = new Map(
    tenants.map(({ identity, hasBytes }) => {
      if (room.claimedBytes !== null) return [identity, hasBytes];
      const share = shares?.get(identity);
      if (share === undefined) return [identity, null];
      const others = allLack - (lacks.get(identity) ?? 0);
      return [identity, Math.floor(Math.max(share, hasBytes + Math.max(0, room.freeBytes - others)))];
    }),
  );
  const forAll = Math.min(allLack, stepOf(room));
  const wantedBytes = Math.max(0, (room.claimedBytes ?? forAll) - room.freeBytes);
  const givers = giversOf(tenants, shares, idleMs);
  return { shares, quotas, wantedBytes, givers: room.claimedBytes === null ? givers : [...givers, ...all(tenants)] };
}

/** What a tenant that wants something is to get: up to its share, or a little where nobody is limited. */
function lackOf({ identity, hasBytes, wants }: Tenant, shares: Deal['shares'], room: Room): number {
  if (!wants) return 0;
  const share = shares?.get(identity);
  if (share === undefined) return stepOf(room);
  const lack = share - hasBytes;
  return lack > Math.max(room.spareBytes / 2, share * slackShare) ? lack : 0;
}

/** What is made free at once, where nobody needs less. */
export function stepOf({ capacityBytes, spareBytes }: Room): number {
  return Math.max(spareBytes, capacityBytes * stepShare);
}

function giversOf(tenants: readonly Tenant[], shares: Deal['shares'], idleMs: number): readonly Giver[] {
  const unused = tenants
    .filter((tenant) => !isInUse(tenant, idleMs))
    .toSorted((a, b) => rank(a) - rank(b) || b.idleMs - a.idleMs)
    .map(({ identity }) => ({ identity, bytesMax: Infinity }));
  const above = tenants
    .filter((tenant) => isInUse(tenant, idleMs) && tenant.policy !== 'keep')
    .map(({ identity, hasBytes }) => ({ identity, bytesMax: hasBytes - (shares?.get(identity) ?? hasBytes) }))
    .filter(({ bytesMax }) => bytesMax > 0)
    .toSorted((a, b) => b.bytesMax - a.bytesMax);
  return [...unused, ...above];
}

/** What is pinned goes before what is not, whoever uses it. */
function all(tenants: readonly Tenant[]): readonly Giver[] {
  return tenants.toSorted((a, b) => b.hasBytes - a.hasBytes).map(({ identity }) => ({ identity, bytesMax: Infinity }));
}

function rank({ policy }: Tenant): number {
  return policy === null ? 0 : policy === 'stream' ? 1 : 2;
}
