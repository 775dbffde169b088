import { mayGo } from './victims.ts';
import type { SegmentFacts } from './victims.ts';

/**
 * SIEVE over segments (Zhang et al., "SIEVE is Simpler than LRU: an Efficient Turn-Key Eviction Algorithm for Web
 * Caches", NSDI 2024): a queue by age, and a hand that goes from the oldest to the newest and round again. What was
 * read since the hand last passed is passed over once more, and stays where it is in the queue; what was not goes.
 */
export class SieveHand {
  /** Reads of each segment when the hand last passed it; 0 for those it has not come to. */
  readonly #passed = new Map<string, number>();
  /** The first time each was seen: its place in the queue. */
  readonly #places = new Map<string, number>();
  #last = 0;
  #hand = 0;

  /** Those to give up of `segments`, all of the ones that are there, so that `wantedBytes` come free. */
  pick(segments: readonly SegmentFacts[], wantedBytes: number): readonly SegmentFacts[] {
    this.#follow(segments);
    const queue = segments.filter(mayGo).toSorted((a, b) => this.#placeOf(a) - this.#placeOf(b));
    const ahead = queue.filter((segment) => this.#placeOf(segment) > this.#hand);
    const behind = queue.slice(0, queue.length - ahead.length);
    const victims = new Set<SegmentFacts>();
    let left = wantedBytes;
    // Twice round, and every mark is gone.
    for (const segment of [...ahead, ...behind, ...ahead, ...behind]) {
      if (left <= 0) break;
      if (victims.has(segment)) continue;
      this.#hand = this.#placeOf(segment);
      const name = nameOf(segment);
      if (segment.reads > (this.#passed.get(name) ?? 0)) {
        this.#passed.set(name, segment.reads);
        continue;
      }
      victims.add(segment);
      left -= segment.bytes;
    }
    return [...victims];
  }

  #follow(segments: readonly SegmentFacts[]): void {
    const here = new Set(segments.map(nameOf));
    for (const name of this.#places.keys()) {
      if (here.has(name)) continue;
      this.#places.delete(name);
      this.#passed.delete(name);
    }
    for (const segment of segments) this.#placeOf(segment);
  }

  #placeOf(segment: SegmentFacts): number {
    const name = nameOf(segment);
    const known = this.#places.get(name);
    if (known !== undefined) return known;
    this.#places.set(name, ++this.#last);
    return this.#last;
  }
}

function nameOf({ number, generation }: SegmentFacts): string {
  return `${number}.${generation}`;
}
