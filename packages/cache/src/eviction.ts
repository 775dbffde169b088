import type { Clock, Log } from '@millpool/host';
import type { Engine } from '@millpool/native';
import { packObjects } from '@millpool/native';
import type { ResolvedEntry } from '@millpool/metadata';
import type { CopyStatus } from '@millpool/protocol';

import { Compaction } from './compaction.ts';
import { deal } from './deal.ts';
import type { Deal, Room } from './deal.ts';
import type { Holders } from './holders.ts';
import { OrderHand } from './order-hand.ts';
import type { Pins } from './pins.ts';
import type { Plans } from './plans.ts';
import type { Replaced } from './replaced.ts';
import { SieveHand } from './sieve-hand.ts';
import { storedShare } from './tenants.ts';
import type { Tenant, Tenants } from './tenants.ts';
import { pickVictims } from './victims.ts';
import type { SegmentFacts } from './victims.ts';

const lookEveryMs = 500;
/** While a plan goes on under the policy `order`, and a fast loop has short epochs. */
const orderEveryMs = 100;
/** For what is pinned to find room. */
const claimDeadlineMs = 30_000;
/** Segments that can always be begun. */
const spareSegments = 2;

interface Parts {
  readonly engine: Engine;
  readonly tenants: Tenants;
  readonly pins: Pins;
  readonly plans: Plans;
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
  #deal: Deal | null = null;
  #everyMs = lookEveryMs;
  #evictedBytes = 0;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#compaction = new Compaction(parts);
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
   */
  async withRoom<T>(files: readonly ResolvedEntry[], load: () => Promise<T>, signal: AbortSignal): Promise<T> {
    const { engine, pins, clock } = this.#parts;
    const pinned = await pins.pinNewcomers(files);
    const here = pinned.length === 0 ? [] : [...engine.residency(packObjects(pinned))];
    const missing = pinned.reduce((sum, { size }, i) => sum + size - (here[i] ?? 0), 0);
    if (missing === 0) return load();
    const claim: Claim = { bytes: missing * storedShare + spareSegments * engine.segmentBytes(), isMet: false };
    this.#claims.add(claim);
    try {
      const deadlineMs = clock.monotonicMs() + claimDeadlineMs;
      // Where it is not met, the load says which files were not kept.
      while (!claim.isMet && clock.monotonicMs() < deadlineMs) await clock.sleep(lookEveryMs / 5, signal);
      return await load();
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
    const { engine, tenants, plans, idleMs } = this.#parts;
    const who = tenants.look();
    await this.#parts.holders.look();
    const room = roomFor(who, this.#parts, this.#claimedBytes());
    const freeBytes = room.freeBytes - this.#parts.holders.comingBytes;
    for (const claim of this.#claims) claim.isMet ||= freeBytes >= (room.claimedBytes ?? 0);
    const dealt = deal(room, who, idleMs);
    this.#deal = dealt;
    for (const [identity, bytes] of dealt.quotas) engine.setQuota(identity, bytes);
    const byOrder = who.filter(({ policy, identity }) => policy === 'order' && plans.jobs(identity).size > 0);
    this.#everyMs = byOrder.length > 0 ? orderEveryMs : lookEveryMs;
    if (dealt.wantedBytes === 0 && byOrder.length === 0 && !who.some(({ wants }) => wants)) return;
    await this.#copyForward(who, room);
    const segments = this.#segments();
    await this.#evict(pickVictims(segments, dealt.givers, dealt.wantedBytes));
    for (const { identity } of byOrder) await this.#evict(await this.#order(identity, segments));
    for (const tenant of who) {
      if (tenant.policy === 'sieve' && tenant.wants) await this.#evict(this.#sieve(tenant, segments, room));
    }
  }

  /** Of whoever wants room, or of all where there is none. */
  async #copyForward(who: readonly Tenant[], { freeBytes, spareBytes, claimedBytes }: Room): Promise<void> {
    const wanting = new Set(who.filter(({ wants }) => wants).map(({ identity }) => identity));
    if (wanting.size === 0 && (claimedBytes ?? 0) <= freeBytes) return;
    await this.#parts.replaced.forget();
    const ofAll = freeBytes < Math.max(spareBytes, claimedBytes ?? 0);
    this.#compaction.begin({
      segments: () => this.#segments().filter(({ identity }) => ofAll || wanting.has(identity)),
      giveUp: (segment) => this.#evict([segment]),
      comingBytes: this.#parts.holders.comingBytes,
    });
  }

  /** That may go, or be copied. */
  #segments(): readonly SegmentFacts[] {
    const unknown = this.#parts.pins.unmarkedIdentities;
    return segmentsOf(this.#parts.engine).filter(({ identity }) => !unknown.has(identity));
  }

  /** Of those that are not met; null where nobody has any. */
  #claimedBytes(): number | null {
    if (this.#claims.size === 0) return null;
    return [...this.#claims].reduce((sum, { bytes, isMet }) => sum + (isMet ? 0 : bytes), 0);
  }

  /** A sieve that has its share, or finds no room, gives up its own. */
  #sieve({ identity }: Tenant, segments: readonly SegmentFacts[], { spareBytes }: Room): readonly SegmentFacts[] {
    const { engine, holders } = this.#parts;
    const wantedBytes = spareBytes - engine.room(identity) - holders.comingBytes;
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

function roomFor(who: readonly Tenant[], { engine, holders }: Parts, claimedBytes: number | null): Room {
  const freeBytes = engine.devices().reduce((sum, { roomBytes }) => sum + roomBytes, holders.comingBytes);
  const hasBytes = who.reduce((sum, tenant) => sum + tenant.hasBytes, 0);
  const spareBytes = spareSegments * engine.segmentBytes();
  return { capacityBytes: hasBytes + freeBytes, freeBytes, spareBytes, claimedBytes };
}

/** On devices that work: what lies on a failed one gives no room. */
function segmentsOf(engine: Engine): readonly SegmentFacts[] {
  const failed = new Set(engine.devices().flatMap(({ state }, device) => (state === 'failed' ? [device] : [])));
  return engine
    .segments()
    .filter(({ device }) => !failed.has(device))
    .map((segment) => ({ ...segment, identity: Buffer.from(segment.identity).toString('hex') }));
}
