import { Buffer } from 'node:buffer';

import type { ListPage } from '../under-storage.ts';

/** Keys in order. */
export interface Items {
  readonly length: number;
  key(index: number): Uint8Array;
}

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
    const passes = to !== null && endsAfter(page, to);
    const inside = passes ? partUpTo(page, to) : page;
    const beyond = passes ? keysOf(partAfter(page, to)) : [];
    const last = lastOf(inside);
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
    const found = firstItems(next.pages, expected.length);
    if (found.length === 0 && !next.isListed) return null;
    // It was told of an end where there are keys: nothing would be left to hold the range behind it to.
    if (next.beyond?.length === 0 && behind.length > expected.length) return false;
    if (expected.length === 0) return found.length === 0 && beginAlike(behind, next.beyond ?? []);
    const compared = next.isListed ? expected : expected.slice(0, found.length);
    return compared.every((key, at) => found[at] !== undefined && Buffer.compare(key, found[at]) === 0);
  }
}

/** Files and directories of a page in one order. */
export function itemsOf({ files, directories }: ListPage): Items {
  if (directories.length === 0) return files;
  const keys = [...files.keys(), ...directories].sort((left, right) => Buffer.compare(left, right));
  return { length: keys.length, key: (index) => keys[index] as Uint8Array };
}

function keysOf(page: ListPage): Uint8Array[] {
  const items = itemsOf(page);
  return Array.from({ length: items.length }, (_, index) => items.key(index));
}

/** Behind a range that has nothing lies what lay behind the one before it. */
function beginAlike(one: readonly Uint8Array[], other: readonly Uint8Array[]): boolean {
  return one.every((key, at) => other[at] === undefined || Buffer.compare(key, other[at]) === 0);
}

/** So many of the first and one more, if there are. */
function firstItems(pages: readonly ListPage[], count: number): Uint8Array[] {
  const first: Uint8Array[] = [];
  for (const page of pages) {
    const items = itemsOf(page);
    for (let at = 0; at < items.length && first.length <= count; at += 1) first.push(items.key(at));
    if (first.length > count) break;
  }
  return first;
}

function lastOf({ files, directories }: ListPage): Uint8Array | undefined {
  const file = files.length === 0 ? undefined : files.key(files.length - 1);
  const directory = directories.at(-1);
  if (file === undefined || directory === undefined) return file ?? directory;
  return Buffer.compare(file, directory) > 0 ? file : directory;
}

function endsAfter(page: ListPage, key: Uint8Array): boolean {
  const lasts = [lastOf(page), page.skipped.at(-1)?.key];
  return lasts.some((last) => last !== undefined && Buffer.compare(last, key) > 0);
}

function partUpTo({ files, directories, skipped, next }: ListPage, to: Uint8Array): ListPage {
  return {
    files: files.slice(0, files.countUpTo(to)),
    directories: directories.filter((key) => Buffer.compare(key, to) <= 0),
    skipped: skipped.filter(({ key }) => Buffer.compare(key, to) <= 0),
    next,
  };
}

function partAfter({ files, directories, skipped, next }: ListPage, to: Uint8Array): ListPage {
  return {
    files: files.slice(files.countUpTo(to)),
    directories: directories.filter((key) => Buffer.compare(key, to) > 0),
    skipped: skipped.filter(({ key }) => Buffer.compare(key, to) > 0),
    next,
  };
}
