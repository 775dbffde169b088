import type { Clock, Log } from '@millpool/host';
import type { Engine } from '@millpool/native';

import type { Plans } from './plans.ts';
import { SegmentMoves } from './segment-moves.ts';
import type { Moved } from './segment-moves.ts';
import type { SegmentWorths } from './segment-worths.ts';
import type { Tenant } from './tenants.ts';
import { pickMoves } from './tier-moves.ts';
import type { TierRoom } from './tier-moves.ts';
import type { SegmentFacts } from './victims.ts';

/** Segments that can always be begun on the slow tier: one of each stream of records that goes there. */
const spareSegments = 2;
/** Who waits for room looks again after this, and no longer than so when none comes. */
const pollMs = 100;
const patienceMs = 15_000;
/** To wait for, of what a slow device writes at a time. */
const leastRoomBytes = 16 * 1024 ** 2;
/** Looked at so often while nothing comes in and nothing moves: it takes a look at every segment. */
const restMs = 5_000;

interface Parts {
  readonly engine: Engine;
  readonly plans: Plans;
  readonly worths: SegmentWorths;
  readonly clock: Clock;
  readonly log: Log;
}

/** What is to come in soon, of one identity. */
interface Filling {
  readonly identity: string;
}

/** Room that one caller may fill, and others count as taken until it is released. */
export interface RoomGrant {
  /** `Infinity` where there is none: what has no room then is not kept. */
  readonly bytes: number;
  release(): void;
}

const noRoom: RoomGrant = { bytes: Infinity, release: () => undefined };

/** Where segments lie while there is a slow tier: what the fast one gives up goes there, and comes back for plans. */
export class Tiering {
  readonly #parts: Parts;
  readonly #moves: SegmentMoves;
  readonly #fillings = new Set<Filling>();
  readonly #grants = new Set<RoomGrant>();
  #restUntilMs = -Infinity;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#moves = new SegmentMoves(parts);
  }

  stop(): Promise<void> {
    return this.#moves.stop();
  }

  get moved(): Moved {
    return this.#moves.moved;
  }

  /** There is one, and it works. */
  get hasSlowTier(): boolean {
    return this.#parts.engine.devices().some(({ tier, state }) => tier === 'slow' && state !== 'failed');
  }

  /** Of the slow tier, for what moves there from now on. */
  get slowRoomBytes(): number {
    const { engine } = this.#parts;
    const slow = engine.devices().filter(({ tier }) => tier === 'slow');
    const roomBytes = slow.reduce((sum, device) => sum + device.roomBytes, 0);
    return Math.max(0, roomBytes - this.#moves.bytesTo('slow') - spareSegments * slow.length * engine.segmentBytes());
  }

  /** What the fast tier has more or less when all that moves has moved. */
  get comingBytes(): number {
    return this.#moves.bytesTo('slow') - this.#moves.bytesTo('fast');
  }

  /** It is being moved, and nobody else's to decide about. */
  isMoving(segment: SegmentFacts): boolean {
    return this.#moves.has(segment);
  }

  /**
   * Room for what may come in now of an identity, of the bytes that are wanted: as long as there is room on some tier,
   * what comes in waits until it can be written there, and for those who were granted room before.
   */
  async roomFor(identity: string, wantedBytes: number, signal: AbortSignal): Promise<RoomGrant> {
    const { engine, clock } = this.#parts;
    const filling = { identity };
    this.#fillings.add(filling);
    try {
      const leastBytes = Math.min(wantedBytes, leastRoomBytes);
      let mostBytes = 0;
      for (let deadlineMs = clock.monotonicMs() + patienceMs; clock.monotonicMs() < deadlineMs;) {
        if (!this.hasSlowTier) return noRoom;
        const roomBytes = engine.room(identity) - this.#grantedBytes;
        if (roomBytes >= leastBytes) return this.#grant(Math.min(roomBytes, wantedBytes));
        const othersFill = this.#grants.size > 0;
        if (!othersFill && this.slowRoomBytes === 0 && this.#moves.bytesTo('slow') === 0) return noRoom;
        if (othersFill || roomBytes > mostBytes) deadlineMs = clock.monotonicMs() + patienceMs;
        mostBytes = Math.max(mostBytes, roomBytes);
        await clock.sleep(pollMs, signal);
      }
      return noRoom;
    } finally {
      this.#fillings.delete(filling);
    }
  }

  #grant(bytes: number): RoomGrant {
    const grant = { bytes, release: (): void => void this.#grants.delete(grant) };
    this.#grants.add(grant);
    return grant;
  }

  /** What of it was written already counts twice, until it is released: others wait longer, and never too short. */
  get #grantedBytes(): number {
    return [...this.#grants].reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Begins to move down what finds room there; gives the others. */
  demote(segments: readonly SegmentFacts[]): readonly SegmentFacts[] {
    const taken: SegmentFacts[] = [];
    let left = this.hasSlowTier ? this.slowRoomBytes : 0;
    for (const segment of segments) {
      if (segment.bytes > left || !this.#moves.canMove(segment)) continue;
      taken.push(segment);
      left -= segment.bytes;
    }
    this.#moves.begin(taken, 'slow');
    return segments.filter((segment) => !taken.includes(segment));
  }

  /** There is something to look at. */
  isDue(who: readonly Tenant[]): boolean {
    const isFilling = this.#fillings.size > 0 || who.some((tenant) => tenant.isFilling);
    return this.hasSlowTier && (isFilling || this.#parts.clock.monotonicMs() >= this.#restUntilMs);
  }

  /** To be called when it is due, with the segments that are not being moved. */
  async look(segments: readonly SegmentFacts[], who: readonly Tenant[], room: TierRoom): Promise<void> {
    const { plans, worths, clock } = this.#parts;
    const all = new Map<string, number>();
    const tenants = await Promise.all(
      who.map(async ({ identity, policy, isFilling }) => {
        for (const [name, worth] of (await worths.of(identity)) ?? []) all.set(name, worth);
        const expected = [...this.#fillings].some((filling) => filling.identity === identity);
        return {
          identity,
          keeps: policy === 'keep',
          isPlanned: plans.jobs(identity).size > 0,
          isFilling: (isFilling && policy !== 'stream') || expected,
        };
      }),
    );
    const movable = segments.filter((segment) => this.#moves.canMove(segment));
    const { toSlow, toFast } = pickMoves(movable, tenants, all, room);
    this.#moves.begin(toSlow, 'slow');
    const isMoving = this.#moves.bytesTo('slow') + this.#moves.bytesTo('fast') > 0;
    if (!isMoving) this.#moves.begin(toFast, 'fast');
    const isResting = toSlow.length === 0 && toFast.length === 0;
    this.#restUntilMs = isResting ? clock.monotonicMs() + restMs : -Infinity;
  }
}
