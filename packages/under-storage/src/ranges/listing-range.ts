import { Buffer } from 'node:buffer';

import type { ListPage } from '../under-storage.ts';

/** The keys after `from` up to `to`, itself included, as far as they have been listed. */
export class ListingRange {
  readonly from: Uint8Array | null;
  /** Null: to the end. */
  to: Uint8Array | null;
  /** Where its next page begins; the last key or prefix that its pages gave. */
  after: Uint8Array | null;
  /** Listed and not given yet. */
  readonly pages: ListPage[] = [];
  /** What came behind `to` with the page that passed it, in order; null until then. */
  beyond: readonly Uint8Array[] | null = null;
  request: Promise<void> | null = null;
  /** How many pages it gave anything with. */
  pagesListed = 0;
  /** The same, since it became as short as it is. */
  pagesSinceCut = 0;

  constructor(from: Uint8Array | null, to: Uint8Array | null) {
    this.from = from;
    this.to = to;
    this.after = from;
  }

  get isListed(): boolean {
    return this.beyond !== null;
  }

  take(page: ListPage): void {
    const { to } = this;
    const inside = to === null ? page : partOf(page, (key) => Buffer.compare(key, to) <= 0);
    const beyond = to === null ? [] : itemsOf(partOf(page, (key) => Buffer.compare(key, to) > 0));
    const last = itemsOf(inside).at(-1);
    this.#add(inside, last !== undefined);
    // Without anything behind it nobody knows whether the next range begins where this one ends.
    const isOver = page.next === null || beyond.length > 0;
    this.after = isOver ? (last ?? this.after) : page.next;
    if (isOver) this.beyond = beyond;
  }

  /** A page with nothing that can be listed goes with the one before. */
  #add(page: ListPage, hasItems: boolean): void {
    const before = this.pages.pop();
    if (before !== undefined)
      this.pages.push(hasItems ? before : { ...before, skipped: before.skipped.concat(page.skipped) });
    if (hasItems || (before === undefined && page.skipped.length > 0)) this.pages.push(page);
    this.pagesListed += Number(hasItems);
    this.pagesSinceCut += Number(hasItems);
  }

  /** What lies behind `to` is another range's. */
  cutAt(to: Uint8Array): void {
    this.to = to;
    this.pagesSinceCut = 0;
  }

  /** To be listed on from what it gave last, up to another end. */
  extend(to: Uint8Array | null): void {
    this.to = to;
    this.beyond = null;
  }

  /**
   * Whether the range behind it begins with what came behind this one; null while that cannot be told. What both of
   * them were told alike is what a listing without ranges would have been told.
   */
  agreesWith(next: ListingRange): boolean | null {
    const { to } = next;
    const behind = this.beyond ?? [];
    const expected = behind.filter((key) => to === null || Buffer.compare(key, to) <= 0);
    const found = next.pages.flatMap(itemsOf);
    if (found.length === 0 && !next.isListed) return null;
    // It was told of an end where there are keys: nothing would be left to hold the range behind it to.
    if (next.beyond?.length === 0 && behind.length > expected.length) return false;
    if (expected.length === 0) return found.length === 0;
    const compared = next.isListed ? expected : expected.slice(0, found.length);
    return compared.every((key, at) => found[at] !== undefined && Buffer.compare(key, found[at]) === 0);
  }
}

/** Files and directories of a page in one order. */
export function itemsOf({ files, directories }: ListPage): Uint8Array[] {
  const keys = files.map(({ key }) => key);
  if (directories.length === 0) return keys;
  return [...keys, ...directories].sort((left, right) => Buffer.compare(left, right));
}

function partOf(page: ListPage, isWanted: (key: Uint8Array) => boolean): ListPage {
  return {
    files: page.files.filter(({ key }) => isWanted(key)),
    directories: page.directories.filter(isWanted),
    skipped: page.skipped.filter(({ key }) => isWanted(key)),
    next: page.next,
  };
}
