import type { Clock, Log } from '@millpool/host';
import type { Engine } from '@millpool/native';

import { deal } from './deal.ts';
import type { Deal, Room } from './deal.ts';
import { SieveHand } from './sieve-hand.ts';
import type { Tenant, Tenants } from './tenants.ts';
import { pickVictims } from './victims.ts';
import type { SegmentFacts } from './victims.ts';

const lookEveryMs = 500;
/** Segments that can always be begun. */
const spareSegments = 2;

interface Parts {
  readonly engine: Engine;
  readonly tenants: Tenants;
  readonly clock: Clock;
  readonly log: Log;
  /** What nobody has read for so long may go. */
  readonly idleMs: number;
}

/** Deals the cache again and again, and gives up segments where somebody is to get room. */
export class Eviction {
  readonly #parts: Parts;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  readonly #hands = new Map<string, SieveHand>();
  #deal: Deal | null = null;
  #evictedBytes = 0;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  /** What an identity may have while not all that is in use fits; null: nobody is limited. */
  shareOf(identity: string): number | null {
    return this.#deal?.shares?.get(identity) ?? null;
  }

  /** Space of the segments that were given up since the daemon started. */
  get evictedBytes(): number {
    return this.#evictedBytes;
  }

  async #run(): Promise<void> {
    const { clock, log } = this.#parts;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await this.#look().catch((error: unknown) => log.warn('eviction failed', { error: String(error) }));
      await clock.sleep(lookEveryMs, signal).catch(() => undefined);
    }
  }

  async #look(): Promise<void> {
    const { engine, tenants, idleMs } = this.#parts;
    const who = tenants.look();
    const room = roomFor(who, engine);
    const dealt = deal(room, who, idleMs);
    this.#deal = dealt;
    for (const [identity, bytes] of dealt.quotas) engine.setQuota(identity, bytes);
    if (!who.some(({ wants }) => wants)) return;
    const segments = segmentsOf(engine);
    await this.#evict(pickVictims(segments, dealt.givers, dealt.wantedBytes));
    for (const tenant of who) {
      if (tenant.policy === 'sieve' && tenant.wants) await this.#evict(this.#sieve(tenant, segments, room));
    }
  }

  /** A sieve that has its share, or finds no room, gives up its own. */
  #sieve({ identity }: Tenant, segments: readonly SegmentFacts[], { spareBytes }: Room): readonly SegmentFacts[] {
    const wantedBytes = spareBytes - this.#parts.engine.room(identity);
    if (wantedBytes <= 0) return [];
    const hand = this.#hands.get(identity) ?? new SieveHand();
    this.#hands.set(identity, hand);
    const own = segments.filter((segment) => segment.identity === identity);
    return hand.pick(own, wantedBytes);
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

function roomFor(who: readonly Tenant[], engine: Engine): Room {
  const freeBytes = engine.devices().reduce((sum, { roomBytes }) => sum + roomBytes, 0);
  const hasBytes = who.reduce((sum, tenant) => sum + tenant.hasBytes, 0);
  return { capacityBytes: hasBytes + freeBytes, freeBytes, spareBytes: spareSegments * engine.segmentBytes() };
}

/** On devices that work: what lies on a failed one gives no room. */
function segmentsOf(engine: Engine): readonly SegmentFacts[] {
  const failed = new Set(engine.devices().flatMap(({ state }, device) => (state === 'failed' ? [device] : [])));
  return engine
    .segments()
    .filter(({ device }) => !failed.has(device))
    .map((segment) => ({ ...segment, identity: Buffer.from(segment.identity).toString('hex') }));
}
