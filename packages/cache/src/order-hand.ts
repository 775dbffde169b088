import type { Engine } from '@millpool/native';

import type { Holders } from './holders.ts';
import type { JobsAhead } from './jobs-ahead.ts';
import type { Plans } from './plans.ts';
import { nameOf } from './segment-worths.ts';
import type { SegmentWorths } from './segment-worths.ts';
import { mayGo } from './victims.ts';
import type { SegmentFacts } from './victims.ts';

interface Parts {
  readonly engine: Engine;
  readonly plans: Plans;
  readonly holders: Holders;
  readonly worths: SegmentWorths;
}

/** No more is given up between two looks: it is to be filled again before more is. */
const stepShare = 1 / 16;
/**
 * What comes in is worth at least this much of the least that is left. A segment of newcomers is as good as its best,
 * and the least of some hundred is low by chance: simulated, 0.7 fetches less than 1 or 0.5 do, or as much.
 */
const barShare = 0.7;

/**
 * The hand of the policy `order` on one identity: when its room runs out, segments go whose bytes are read last by the
 * plans of now, and nothing comes in that is worth less than what is left (`native/core/src/forecast.rs`). While no
 * plan is open nothing is known, and what is here stays.
 */
export class OrderHand {
  readonly #parts: Parts;
  readonly #identity: string;
  /** What was left after the last look. */
  #leftBytes = Infinity;

  constructor(identity: string, parts: Parts) {
    this.#identity = identity;
    this.#parts = parts;
  }

  /** Those of `segments`, all of the ones that are there, that are to go now. Says to the plans what comes in. */
  async look(segments: readonly SegmentFacts[]): Promise<readonly SegmentFacts[]> {
    const { engine, plans, holders } = this.#parts;
    const roomBytes = engine.room(this.#identity) + holders.comingBytes;
    const takenBytes = Number.isFinite(this.#leftBytes) ? Math.max(0, this.#leftBytes - roomBytes) : 0;
    const hasBytes = segments.reduce((sum, { bytes }) => sum + bytes, 0);
    const aimBytes = Math.max(engine.segmentBytes(), Math.min(2 * takenBytes, hasBytes * stepShare));
    this.#leftBytes = roomBytes;
    if (roomBytes >= 2 * aimBytes + engine.segmentBytes() || readsEachOnce(plans.jobs(this.#identity))) {
      plans.setBar(this.#identity, null);
      return [];
    }
    const worths = await this.#parts.worths.of(this.#identity);
    if (worths === null) return [];
    const worthOf = (segment: SegmentFacts): number => (worths.get(nameOf(segment)) ?? 0) / Math.max(1, segment.bytes);
    const ranked = segments.filter(mayGo).toSorted((a, b) => worthOf(a) - worthOf(b));
    const count = roomBytes >= aimBytes / 2 ? 0 : countFor(ranked, aimBytes - roomBytes);
    const victims = ranked.slice(0, count);
    const next = ranked[count];
    plans.setBar(this.#identity, next === undefined ? 0 : barShare * worthOf(next));
    this.#leftBytes += victims.reduce((sum, { bytes }) => sum + bytes, 0);
    return victims;
  }
}

/**
 * Where one job reads each sample once an epoch here, no order of giving up fetches less than keeping what is here: a
 * sample's next read is a hit only if it stayed over the end of an epoch, and no more stay than there is room for.
 */
function readsEachOnce(versions: ReadonlyMap<string, JobsAhead<unknown>>): boolean {
  const jobs = [...versions.values()].flatMap((of) => of.jobs);
  return jobs.length === 1 && jobs.every(({ ranks, world }) => ranks.length === world);
}

function countFor(ranked: readonly SegmentFacts[], bytes: number): number {
  let left = bytes;
  const last = ranked.findIndex((segment) => (left -= segment.bytes) <= 0);
  return last === -1 ? ranked.length : last + 1;
}
