import { Buffer } from 'node:buffer';
import { setMaxListeners } from 'node:events';

import type { ListPage, UnderStorage } from '../under-storage.ts';
import { KeyScale } from './key-scale.ts';
import { itemsOf, ListingRange } from './listing-range.ts';

export interface RangedRequest {
  /** As of `ListRequest`. */
  readonly prefix: Uint8Array;
  readonly recursive: boolean;
  /** Only keys strictly after this one; null: from the beginning. */
  readonly after: Uint8Array | null;
  /** LISTs under way at the same time, at most. */
  readonly atOnce: number;
  readonly signal: AbortSignal;
}

const keysAtOnce = 1_000;
/** A range is meant to be of so many pages. */
const pagesOfRange = 3;
/** What the last one has room for: a range that filled it would cost a page more, of the next one's keys alone. */
const pageLeft = 0.1;
/** It holds no more that were not given yet: enough for one that is a little longer to be whole when its turn comes. */
const pagesHeldMax = 6;
/** Of how many pages the way of the keys is known. */
const marksMax = 64;
const samplesOfPage = 16;
/** Ranges that did not begin where the one before ended: the source is changing there, or cannot do it. */
const disagreementsMax = 3;
const spreadMax = 2 ** 20;

/**
 * All pages of a listing, in order, though several ranges of it are listed at once. Nothing is known of the keys before
 * they are there: where the next range begins is guessed from how far the last pages went, and any guess is right,
 * since a range goes from one key to the next, whatever is between them. A guess that is bad costs a request: ranges
 * become fewer while they turn out empty, and longer or shorter.
 *
 * Each range is listed beyond its end, until something of the next one has come; the next one is believed only if it
 * begins with the same keys. So a source that gets `start-after` wrong is listed as without ranges. What is held is a
 * few pages a range.
 */
export class RangedListing {
  readonly #storage: Pick<UnderStorage, 'list'>;
  readonly #request: RangedRequest;
  readonly #scale = new KeyScale();
  readonly #ranges: ListingRange[];
  /** Where pages ended that were given, and how many keys came before. */
  #marks: { readonly key: Uint8Array; readonly count: number }[] = [];
  #count = 0;
  #rangesMax = 2;
  /** How many times longer than they would have to be ranges are made. */
  #spread = 1;
  #disagreements = 0;
  #underWay = 0;
  #failure: { readonly error: unknown } | null = null;
  readonly #stop = new AbortController();

  constructor(storage: Pick<UnderStorage, 'list'>, request: RangedRequest) {
    this.#storage = storage;
    this.#request = request;
    this.#ranges = [new ListingRange(request.after, null)];
    setMaxListeners(0, this.#stop.signal);
  }

  /** The source does not begin where it was told to. */
  get isSequential(): boolean {
    return this.#disagreements >= disagreementsMax;
  }

  async *pages(): AsyncGenerator<ListPage> {
    const { signal } = this.#request;
    const onAbort = (): void => this.#stop.abort(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      for (let front = this.#ranges[0]; front !== undefined; front = this.#ranges[0]) {
        if (this.#failure !== null) throw this.#failure.error;
        this.#askOn();
        const page = front.pages.shift();
        if (page !== undefined) {
          this.#mark(page);
          yield page;
        } else if (!front.isListed) await front.request;
        else await this.#pass(front);
      }
    } finally {
      signal.removeEventListener('abort', onAbort);
      this.#stop.abort();
      await Promise.allSettled(this.#ranges.map(({ request }) => request));
    }
  }

  /** The front range has been given whole: on to the next one, if it begins where this one ended. */
  async #pass(front: ListingRange): Promise<void> {
    const [, next] = this.#ranges;
    if (next === undefined) return void this.#ranges.shift();
    const agrees = front.agreesWith(next);
    if (agrees === null) {
      await next.request;
      return;
    }
    if (agrees) {
      this.#ranges.shift();
      this.#adjust(front.pagesListed);
      return;
    }
    this.#disagreements += 1;
    this.#ranges.splice(1, 1);
    front.extend(next.to);
    await next.request;
  }

  /** More ranges while they are worth a request, fewer and longer ones while they are not. */
  #adjust(pagesListed: number): void {
    if (pagesListed > 0) return this.#widen();
    this.#rangesMax = Math.max(2, this.#rangesMax - 1);
    this.#spread = Math.min(spreadMax, this.#spread * 2);
  }

  #widen(): void {
    this.#rangesMax = Math.min(this.#request.atOnce, this.#rangesMax + 2);
  }

  #mark(page: ListPage): void {
    const items = itemsOf(page);
    if (items.length === 0) return;
    if (this.#marks.length === 0) this.#marks.push({ key: Uint8Array.from(items.key(0)), count: 0 });
    this.#count += items.length;
    this.#marks.push({ key: Uint8Array.from(items.key(items.length - 1)), count: this.#count });
    if (this.#marks.length > marksMax) this.#marks.shift();
    const step = Math.max(1, Math.floor(items.length / samplesOfPage));
    for (let at = 0; at < items.length; at += step) this.#scale.learn(items.key(at));
  }

  #askOn(): void {
    for (const range of this.#ranges) this.#ask(range);
    const rangesMax = this.isSequential ? 1 : Math.min(this.#rangesMax, this.#request.atOnce);
    while (this.#underWay < rangesMax && this.#ranges.length < rangesMax) {
      if (!this.#split()) return;
    }
  }

  #ask(range: ListingRange): void {
    const isWanted = !range.isListed && range.request === null && range.pages.length < pagesHeldMax;
    if (!isWanted || this.#failure !== null || this.#underWay >= this.#request.atOnce) return;
    this.#underWay += 1;
    range.request = this.#list(range).finally(() => {
      this.#underWay -= 1;
    });
    // Whoever waits for it hears of it; the others are told by `#failure` to ask no more.
    range.request.catch(() => undefined);
  }

  async #list(range: ListingRange): Promise<void> {
    const { prefix, recursive } = this.#request;
    const request = { prefix, recursive, after: range.after, limit: keysAtOnce, signal: this.#stop.signal };
    try {
      const page = await this.#storage.list(request);
      range.take(page);
      range.request = null;
      if (isTooLong(range) && range.pagesSinceCut % pagesOfRange === 0) this.#widen();
    } catch (error) {
      this.#failure ??= { error };
      throw error;
    }
    this.#askOn();
  }

  /** A new range behind the first one that has become too long, or behind the last. False: there is none to make. */
  #split(): boolean {
    for (const [at, range] of this.#ranges.entries()) {
      const isLast = range.to === null;
      if (range.isListed || (!isLast && !isTooLong(range))) continue;
      const from = this.#guess(range);
      if (from === null) continue;
      if (!isLast) this.#spread = Math.max(1, this.#spread / 2);
      const behind = new ListingRange(from, range.to);
      range.cutAt(from);
      this.#ranges.splice(at + 1, 0, behind);
      this.#ask(behind);
      return true;
    }
    return false;
  }

  /** A key that lies as many pages as a range should have behind what is known of it; within it, half its way. */
  #guess({ after, to }: ListingRange): Uint8Array | null {
    const from = after ?? this.#marks.at(-1)?.key;
    if (from === undefined) return null;
    const pages = to === null ? this.#spread * pagesOfRange - pageLeft : pagesOfRange - pageLeft;
    // Of late, where what was long ago is of another kind.
    const guess = this.#ahead(from, pages, marksMax) ?? this.#ahead(from, pages, 1);
    if (to === null || (guess !== null && Buffer.compare(guess, to) < 0)) return guess;
    const half = this.#scale.ahead(from, { one: from, other: to, times: 0.5 });
    return half !== null && Buffer.compare(half, to) < 0 ? half : null;
  }

  /** By how far the last `marks` pages went. */
  #ahead(from: Uint8Array, pages: number, marks: number): Uint8Array | null {
    const [one, other] = [this.#marks.at(-1 - marks) ?? this.#marks[0], this.#marks.at(-1)];
    if (one === undefined || other === undefined || other.count === one.count) return null;
    const times = (pages * keysAtOnce) / (other.count - one.count);
    return this.#scale.ahead(from, { one: one.key, other: other.key, times });
  }
}

function isTooLong(range: ListingRange): boolean {
  return !range.isListed && range.pagesSinceCut >= pagesOfRange;
}
