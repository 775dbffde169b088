import type { Clock, Log } from '@millpool/host';
import type { Engine } from '@millpool/native';
import type { Tier } from '@millpool/protocol';

import { nameOf } from './segment-worths.ts';
import type { SegmentFacts } from './victims.ts';

/** A segment is 256 MiB at most; a disk that takes longer than this for one has more to do than it can. */
const moveTimeoutMs = 600_000;
/** One that could not be moved, or not whole, is not tried again before this. */
const passOverMs = 60_000;

interface Parts {
  readonly engine: Engine;
  readonly clock: Clock;
  readonly log: Log;
}

/** What was moved since the daemon started. */
export interface Moved {
  readonly demotedBytes: number;
  readonly promotedBytes: number;
}

/**
 * Moves segments from one tier to the other, one after another: a disk that rotates is good at one stream at a time. A
 * record is found at its old place until it is written at the new one.
 */
export class SegmentMoves {
  readonly #parts: Parts;
  readonly #waiting: { readonly segment: SegmentFacts; readonly to: Tier }[] = [];
  readonly #moving = new Set<string>();
  /** Until when those that failed are passed over. */
  readonly #passedOver = new Map<string, number>();
  readonly #moved = { fast: 0, slow: 0 };
  #running: Promise<void> | null = null;
  #isStopped = false;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** What is under way ends first. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#running;
  }

  /** A move of it waits or is under way. */
  has(segment: Pick<SegmentFacts, 'number' | 'generation'>): boolean {
    return this.#moving.has(nameOf(segment));
  }

  /** It may be moved: it is not being moved, nor did that fail of late. */
  canMove(segment: Pick<SegmentFacts, 'number' | 'generation'>): boolean {
    const untilMs = this.#passedOver.get(nameOf(segment)) ?? -Infinity;
    return !this.has(segment) && this.#parts.clock.monotonicMs() >= untilMs;
  }

  /** What a tier is to take, or to have free, once all moves have ended. */
  bytesTo(tier: Tier): number {
    return this.#waiting.reduce((sum, { segment, to }) => sum + (to === tier ? segment.bytes : 0), 0);
  }

  get moved(): Moved {
    return { demotedBytes: this.#moved.slow, promotedBytes: this.#moved.fast };
  }

  /** Of sealed segments. Those that cannot be moved now are passed over. */
  begin(segments: readonly SegmentFacts[], to: Tier): void {
    for (const segment of segments) {
      if (this.#isStopped || !this.canMove(segment)) continue;
      this.#moving.add(nameOf(segment));
      this.#waiting.push({ segment, to });
    }
    this.#running ??= this.#run().finally(() => (this.#running = null));
  }

  async #run(): Promise<void> {
    const { clock, log } = this.#parts;
    for (let next = this.#waiting[0]; next !== undefined && !this.#isStopped; next = this.#waiting[0]) {
      const { segment, to } = next;
      const isMoved = await this.#move(segment, to).catch((error: unknown) => {
        log.warn('a segment could not be moved', { segment: segment.number, to, error: String(error) });
        return false;
      });
      const nowMs = clock.monotonicMs();
      for (const [name, untilMs] of this.#passedOver) if (untilMs <= nowMs) this.#passedOver.delete(name);
      if (!isMoved) this.#passedOver.set(nameOf(segment), nowMs + passOverMs);
      this.#waiting.shift();
      this.#moving.delete(nameOf(segment));
    }
  }

  /** False where some of it had no room. */
  async #move(segment: SegmentFacts, to: Tier): Promise<boolean> {
    const { engine, log } = this.#parts;
    const devices = engine.devices().flatMap(({ tier }, device) => (tier === to ? [device] : []));
    const { bytes, left } = await engine.copyForward(segment, moveTimeoutMs, devices);
    this.#moved[to] += bytes;
    if (left > 0) log.info('there was no room for all of a segment', { segment: segment.number, to, left });
    return left === 0;
  }
}
