import type { Clock, Log } from '@millpool/host';
import type { Engine } from '@millpool/native';
import { packObjects } from '@millpool/native';
import type { ResolvedEntry } from '@millpool/metadata';
import type { CopyStatus } from '@millpool/protocol';

import { Compaction } from './compaction.ts';
import { deal, stepOf } from './deal.ts';
import type { Deal, Room } from './deal.ts';
import type { Holders } from './holders.ts';
import { OrderHand } from './order-hand.ts';
import type { Pins } from './pins.ts';
import type { Plans } from './plans.ts';
import type { Replaced } from './replaced.ts';
import type { SegmentWorths } from './segment-worths.ts';
import { SieveHand } from './sieve-hand.ts';
import { TableWatch } from './table-watch.ts';
import { isInUse, storedShare } from './tenants.ts';
import type { Tenant, Tenants } from './tenants.ts';
import { pickSlowVictims } from './tier-moves.ts';
import type { Tiering } from './tiering.ts';
import { pickVictims } from './victims.ts';
import type { SegmentFacts } from './victims.ts';

const lookEveryMs = 500;
/** While a plan goes on under the policy `order`, and a fast loop has short epochs; or while segments move. */
const oftenMs = 100;
/** For what is pinned to find room. */
const claimDeadlineMs = 30_000;
/** Segments that can always be begun. */
const spareSegments = 2;

interface Parts {
  readonly engine: Engine;
  readonly tenants: Tenants;
  readonly pins: Pins;
  readonly plans: Plans;
  readonly worths: SegmentWorths;
  readonly tiering: Tiering;
  readonly holders: Holders;
  readonly replaced: Replaced;
  readonly clock: Clock;
  readonly log: Log;
  /** What nobody has read for so long may go. */
  readonly idleMs: number;
  /** Of what is fetched, what may be written to win room back. */
  readonly copyShare: number;
}

/** Room for a load of what is pinned. */
interface Claim {
  readonly bytes: number;
  isMet: boolean;
}

/** Deals the cache again and again; where somebody is to get room, copies segments forward and gives some up. */
export class Eviction {
  readonly #parts: Parts;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  readonly #hands = new Map<string, SieveHand>();
  readonly #orderHands = new Map<string, OrderHand>();
  readonly #claims = new Set<Claim>();
  readonly #compaction: Compaction;
  readonly #table: TableWatch;
  #deal: Deal | null = null;
  #everyMs = lookEveryMs;
  #evictedBytes = 0;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#compaction = new Compaction(parts);
    this.#table = new TableWatch(parts.clock, parts.log);
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
    await this.#compaction.stop();
  }

  /** What an identity may have while not all that is in use fits; null: nobody is limited. */
  shareOf(identity: string): number | null {
    return this.#deal?.shares?.get(identity) ?? null;
  }

  /** A load is to bring so many bytes of these identities. Gives what ends that. */
  expect(bytes: ReadonlyMap<string, number>): () => void {
    return this.#parts.tenants.expect(bytes);
  }

  /** Space of the segments that were given up since the daemon started. */
  get evictedBytes(): number {
    return this.#evictedBytes;
  }

  /** What was copied to win room back, since the daemon started. */
  get copied(): CopyStatus {
    return this.#compaction.copied;
  }

  /**
   * Loads files: what is pinned of them finds room, whatever else has to go, and nobody else takes it meanwhile.
   * `load` is told whether room was made.
   */
  async withRoom<T>(
    files: readonly ResolvedEntry[],
    load: (isMade: boolean) => Promise<T>,
    signal: AbortSignal,
  ): Promise<T> {
    const { engine, pins, clock } = this.#parts;
    const pinned = await pins.pinNewcomers(files);
    const here = pinned.length === 0 ? [] : [...engine.residency(packObjects(pinned))];
    const missing = pinned.reduce((sum, { size }, i) => sum + size - (here[i] ?? 0), 0);
    if (missing === 0) return load(false);
    const claim: Claim = { bytes: missing * storedShare + spareSegments * engine.segmentBytes(), isMet: false };
    this.#claims.add(claim);
    try {
      const deadlineMs = clock.monotonicMs() + claimDeadlineMs;
      // Where it is not met, the load says which files were not kept.
      while (!claim.isMet && clock.monotonicMs() < deadlineMs) await clock.sleep(lookEveryMs / 5, signal);
      return await load(true);
    } finally {
      this.#claims.delete(claim);
    }
  }

  async #run(): Promise<void> {
    const { clock, log } = this.#parts;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await this.#look().catch((error: unknown) => log.warn('eviction failed', { error: String(error) }));
      await clock.sleep(this.#everyMs, signal).catch(() => undefined);
    }
  }

  async #look(): Promise<void> {
    const { engine, tenants, plans, tiering, idleMs } = this.#parts;
    this.#table.look(engine.counters().tableFull);
    const who = tenants.look();
    await this.#parts.holders.look();
    const room = roomFor(who, this.#parts, this.#claimedBytes());
    const freeBytes = room.freeBytes - comingBytes(this.#parts);
    for (const claim of this.#claims) claim.isMet ||= freeBytes >= (room.claimedBytes ?? 0);
    const dealt = deal(room, who, idleMs);
    this.#deal = dealt;
    for (const [identity, bytes] of dealt.quotas) engine.setQuota(identity, bytes);
    const isShort = dealt.shares !== null || willBeShort(who, tenants, room);
    for (const { identity } of who) engine.setShort(identity, isShort);
    const byOrder = who.filter(({ policy, identity }) => policy === 'order' && plans.jobs(identity).size > 0);
    const looksAtTiers = tiering.isDue(who);
    this.#everyMs = byOrder.length > 0 || looksAtTiers ? oftenMs : lookEveryMs;
    if (!looksAtTiers && dealt.wantedBytes === 0 && byOrder.length === 0 && !who.some(({ wants }) => wants)) return;
    await this.#copyForward(who, room);
    if (looksAtTiers) await this.#lookAtTiers(this.#segments(), who, room);
    const segments = this.#fastSegments();
    await this.#giveUp(pickVictims(segments, dealt.givers, dealt.wantedBytes), who);
    // What finds room below is moved there first.
    const isBelowFull = !tiering.hasSlowTier || tiering.slowRoomBytes < room.spareBytes;
    for (const { identity } of byOrder) {
      if (isBelowFull) await this.#evict(await this.#order(identity, segments));
      else plans.setBar(identity, null);
    }
    for (const tenant of who) {
      const gives = tenant.policy === 'sieve' && tenant.wants && isBelowFull;
      if (gives) await this.#evict(this.#sieve(tenant, segments, room));
    }
  }

  /** Room is made on the slow tier where something is to move there, and moves begin. */
  async #lookAtTiers(segments: readonly SegmentFacts[], who: readonly Tenant[], room: Room): Promise<void> {
    const { tiering, idleMs } = this.#parts;
    const aheadBytes = stepOf(room);
    const wantedBytes = aheadBytes - tiering.slowRoomBytes;
    if (wantedBytes > 0 && who.some(({ isFilling }) => isFilling)) {
      const identities = (which: (tenant: Tenant) => boolean): Set<string> =>
        new Set(who.filter(which).map(({ identity }) => identity));
      const unused = identities((tenant) => !isInUse(tenant, idleMs));
      const sieving = identities(({ policy, isFilling }) => policy === 'sieve' && isFilling);
      await this.#evict(pickSlowVictims(segments, { unused, sieving }, wantedBytes));
    }
    const { slowRoomBytes } = tiering;
    await tiering.look(segments, who, { fastBytes: room.freeBytes, slowBytes: slowRoomBytes, aheadBytes });
  }

  /** What somebody may want again moves to a slow tier where it finds room; what is pinned gets its room at once. */
  async #giveUp(victims: readonly SegmentFacts[], who: readonly Tenant[]): Promise<void> {
    const wanted = new Set(
      who.flatMap(({ identity, policy }) => (policy === null || policy === 'stream' ? [] : [identity])),
    );
    const kept = victims.filter(({ identity }) => this.#claims.size === 0 && wanted.has(identity));
    const gone = victims.filter((segment) => !kept.includes(segment));
    await this.#evict([...gone, ...this.#parts.tiering.demote(kept)]);
  }

  /** Of whoever wants room, or of all where there is none. */
  async #copyForward(who: readonly Tenant[], { freeBytes, spareBytes, claimedBytes }: Room): Promise<void> {
    const wanting = new Set(who.filter(({ wants }) => wants).map(({ identity }) => identity));
    if (wanting.size === 0 && (claimedBytes ?? 0) <= freeBytes) return;
    await this.#parts.replaced.forget();
    const ofAll = freeBytes < Math.max(spareBytes, claimedBytes ?? 0);
    this.#compaction.begin({
      segments: () => this.#fastSegments().filter(({ identity }) => ofAll || wanting.has(identity)),
      giveUp: (segment) => this.#evict([segment]),
      comingBytes: comingBytes(this.#parts),
    });
  }

  /** That may go, or be copied. */
  #segments(): readonly SegmentFacts[] {
    const { engine, pins, tiering } = this.#parts;
    const unknown = pins.unmarkedIdentities;
    return segmentsOf(engine).filter((segment) => !unknown.has(segment.identity) && !tiering.isMoving(segment));
  }

  #fastSegments(): readonly SegmentFacts[] {
    return this.#segments().filter(({ tier }) => tier === 'fast');
  }

  /** Of those that are not met; null where nobody has any. */
  #claimedBytes(): number | null {
    if (this.#claims.size === 0) return null;
    return [...this.#claims].reduce((sum, { bytes, isMet }) => sum + (isMet ? 0 : bytes), 0);
  }

  /** A sieve that has its share, or finds no room, gives up its own. */
  #sieve({ identity }: Tenant, segments: readonly SegmentFacts[], { spareBytes }: Room): readonly SegmentFacts[] {
    const { engine } = this.#parts;
    const wantedBytes = spareBytes - engine.room(identity) - comingBytes(this.#parts);
    if (wantedBytes <= 0) return [];
    const hand = this.#hands.get(identity) ?? new SieveHand();
    this.#hands.set(identity, hand);
    const own = segments.filter((segment) => segment.identity === identity);
    return hand.pick(own, wantedBytes);
  }

  #order(identity: string, segments: readonly SegmentFacts[]): Promise<readonly SegmentFacts[]> {
    const hand = this.#orderHands.get(identity) ?? new OrderHand(identity, this.#parts);
    this.#orderHands.set(identity, hand);
    return hand.look(segments.filter((segment) => segment.identity === identity));
  }

  async #evict(victims: readonly SegmentFacts[]): Promise<void> {
    if (victims.length === 0) return;
    const { engine, log } = this.#parts;
    const bytes = victims.reduce((sum, segment) => sum + segment.bytes, 0);
    await engine.evict(Uint32Array.from(victims, ({ number }) => number));
    this.#evictedBytes += bytes;
    log.info('segments evicted', { segments: victims.length, bytes });
  }
}

/** Of the fast tier, as all rooms here. */
function roomFor(who: readonly Tenant[], parts: Parts, claimedBytes: number | null): Room {
  const { engine } = parts;
  const fast = engine.devices().filter(({ tier }) => tier === 'fast');
  const freeBytes = fast.reduce((sum, { roomBytes }) => sum + roomBytes, comingBytes(parts));
  const hasBytes = who.reduce((sum, tenant) => sum + tenant.hasBytes, 0);
  const spareBytes = spareSegments * engine.segmentBytes();
  return { capacityBytes: hasBytes + freeBytes, freeBytes, spareBytes, claimedBytes };
}

/** Loads under way are to bring more than there is room for. */
function willBeShort(who: readonly Tenant[], tenants: Tenants, { capacityBytes }: Room): boolean {
  const bytes = who.map(({ identity, hasBytes }) => Math.max(hasBytes, tenants.loadBytes(identity) * storedShare));
  return bytes.reduce((sum, one) => sum + one, 0) > capacityBytes;
}

/** What is about to come free. */
function comingBytes({ holders, tiering }: Parts): number {
  return holders.comingBytes + tiering.comingBytes;
}

/** On devices that work: what lies on a failed one gives no room. */
function segmentsOf(engine: Engine): readonly SegmentFacts[] {
  const devices = engine.devices();
  return engine.segments().flatMap((segment) => {
    const device = devices[segment.device];
    if (device === undefined || device.state === 'failed') return [];
    return [{ ...segment, tier: device.tier, identity: Buffer.from(segment.identity).toString('hex') }];
  });
}
