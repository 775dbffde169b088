import { comparePaths, isBelow, isWeak, joinPath, nameOf, parentOf, pathBelow, pathOfKey } from '@millpool/protocol';
import type { CheckSourceReply, SourceDifference } from '@millpool/protocol';
import type { SourceFile, UnderStorage } from '@millpool/under-storage';

import type { Attached } from './attached.ts';
import type { Directory } from './directory.ts';
import type { Entries } from './entries.ts';
import { Feed } from './feed.ts';
import type { Listings } from './listings.ts';
import type { ResolvedEntry } from './resolved-entry.ts';
import { resolved } from './resolved-entry.ts';
import { hasAnyBelow } from './source-pages.ts';
import type { EntryRecord } from './store/records.ts';
import type { SourceCheckPlace } from './source-check-cursor.ts';
import type { Turns } from './turns.ts';
import { pagesOf, Walk } from './walk.ts';
import type { WalkListings } from './walk.ts';

export interface SourceCheckParts {
  readonly listings: Listings;
  readonly entries: Entries;
  readonly shards: number;
  readonly nowMs: () => number;
  readonly turns: Turns;
}

export interface SourceCheckRequest {
  readonly attached: Attached;
  readonly storage: UnderStorage;
  readonly root: Directory;
  readonly place: SourceCheckPlace;
  readonly limit: number;
  readonly signal: AbortSignal;
}

/** `next`: where the next page begins; null after the last. */
export type SourceCheckPage = Omit<CheckSourceReply, 'cursor'> & { readonly next: SourceCheckPlace | null };

interface Listed extends SourceFile {
  readonly path: string;
}

/** What is known of a file on either side. */
type Version = Pick<EntryRecord, 'size' | 'tag'>;

const asksAtOnce = 64;
/** Of one page: it is one message. */
const differencesMax = 10_000;

/**
 * One page of comparing what is stored of a subtree with a flat listing of it at the source, made now: a merge of two
 * sorted streams, of which a few pages are in memory. Nothing is written, and no freshness is looked at.
 *
 * Keys come in the order of their bytes, stored files in that of their paths. These differ only where a name is not the
 * source's own bytes (`a%2Fb` for `a//b`): such files stay out of the merge. Those listed are looked up in the store,
 * and for those stored the source is asked one by one.
 */
export class SourceCheck {
  readonly #parts: SourceCheckParts;
  readonly #request: SourceCheckRequest;
  readonly #differences: SourceDifference[] = [];
  #files = 0;
  #filesNotCompared = 0;
  #filesWeak = 0;
  /** A directory that was told in one line; what is listed below it comes next. */
  #told: string | null;
  /** Stored files of which the source has to be asked. */
  #odd: ResolvedEntry[] = [];
  #stored: Uint8Array | null;
  #listed: Uint8Array | null;
  /** What all keys of the source begin with. */
  readonly #rootLength: number;

  constructor(parts: SourceCheckParts, request: SourceCheckRequest) {
    this.#parts = parts;
    this.#request = request;
    const { attached, place } = request;
    this.#rootLength = attached.directory(attached.attachment.path, parts.shards).prefix.length;
    this.#stored = place.stored;
    this.#listed = place.listed;
    this.#told = place.listed === null ? null : (this.#unstored(this.#pathOf(place.listed))?.path ?? null);
  }

  async page(): Promise<SourceCheckPage> {
    const { root, storage, signal } = this.#request;
    if (this.#parts.listings.listed(root) === null) {
      // A source that is away says so, although there is nothing to compare.
      await hasAnyBelow(storage, root.prefix, signal);
      this.#tell('unlisted', root.path);
      return this.#result(null);
    }
    const stored = new Feed(this.#storedPages());
    const listed = new Feed(this.#listedPages());
    try {
      const isOver = await this.#merge(stored, listed);
      await this.#askOdd();
      return this.#result(isOver ? null : { stored: this.#stored, listed: this.#listed });
    } finally {
      await Promise.all([stored.end(), listed.end()]);
    }
  }

  /** Up to the page's limit; true: to the end of both. */
  async #merge(stored: Feed<ResolvedEntry>, listed: Feed<Listed>): Promise<boolean> {
    for (;;) {
      if (stored.isDry) await stored.fill();
      if (listed.isDry) await listed.fill();
      const { head: old } = stored;
      const { head: now } = listed;
      if (old === null && now === null) return true;
      if (this.#isFull()) return false;
      const order = this.#orderOf(old, now);
      if (order <= 0 && old !== null) {
        stored.pass();
        this.#stored = old.sourceKey;
      }
      if (order >= 0 && now !== null) {
        listed.pass();
        this.#listed = now.key;
      }
      if (order > 0 && now !== null) this.#takeUnmatched(now);
      else if (old !== null && this.#isOdd(old.path, old.sourceKey)) await this.#putOff(old);
      else if (old !== null) this.#compare(old.path, old, order === 0 ? now : null);
    }
  }

  /** Which goes first; 0: they are one file. Odd ones go at once, each alone. */
  #orderOf(old: ResolvedEntry | null, now: Listed | null): number {
    if (now === null || (old !== null && this.#isOdd(old.path, old.sourceKey))) return -1;
    if (old === null || this.#isOdd(now.path, now.key)) return 1;
    return comparePaths(old.path, now.path);
  }

  #isFull(): boolean {
    const files = this.#files + this.#filesNotCompared;
    return files >= this.#request.limit || this.#differences.length >= differencesMax;
  }

  /** A file at the source that did not come out of the store at its place. */
  #takeUnmatched(now: Listed): void {
    const { path } = now;
    if (this.#told !== null && isBelow(path, this.#told)) {
      this.#filesNotCompared += 1;
      return;
    }
    const unstored = this.#unstored(path);
    if (unstored !== null) {
      this.#told = unstored.path;
      this.#filesNotCompared += 1;
      this.#tell(unstored.kind, unstored.path);
      return;
    }
    this.#compare(path, this.#storedFile(path), now);
  }

  #compare(path: string, old: Version | null, now: Version | null): void {
    this.#files += 1;
    if (isWeak((now ?? old)?.tag ?? '')) this.#filesWeak += 1;
    const difference = differenceOf(path, old, now);
    if (difference !== null) this.#differences.push(difference);
  }

  #tell(kind: 'new' | 'unlisted', path: string): void {
    this.#differences.push({ kind, type: 'directory', path, storedBytes: null, sourceBytes: null });
  }

  /** The outermost directory on the way to a file that is not stored; `new` where its parent is, and has it not. */
  #unstored(path: string): { readonly kind: 'new' | 'unlisted'; readonly path: string } | null {
    const { root, attached } = this.#request;
    const { listings, entries, shards } = this.#parts;
    let above: Directory | null = null;
    for (const at of directoriesTo(path, root.path)) {
      const directory = attached.directory(at, shards);
      if (listings.listed(directory) === null) {
        const isKnown = above === null || entries.get(above, 'directory', nameOf(at)) !== null;
        return { kind: isKnown ? 'unlisted' : 'new', path: at };
      }
      above = directory;
    }
    return null;
  }

  #storedFile(path: string): EntryRecord | null {
    const directory = this.#request.attached.directory(parentOf(path), this.#parts.shards);
    return this.#parts.entries.get(directory, 'file', nameOf(path));
  }

  async #putOff(odd: ResolvedEntry): Promise<void> {
    this.#odd.push(odd);
    if (this.#odd.length >= asksAtOnce) await this.#askOdd();
  }

  /** Those that are there were compared when they were listed. */
  async #askOdd(): Promise<void> {
    const { storage, signal } = this.#request;
    const asked = this.#odd;
    this.#odd = [];
    const found = await Promise.all(asked.map(({ sourceKey }) => storage.stat(sourceKey, signal)));
    asked.forEach((old, at) => {
      if (found[at] === null) this.#compare(old.path, old, null);
    });
  }

  #isOdd(path: string, key: Uint8Array): boolean {
    if (!path.includes('%')) return false;
    const own = Buffer.from(pathBelow(path, this.#request.attached.attachment.path));
    return !own.equals(key.subarray(this.#rootLength));
  }

  #pathOf(key: Uint8Array): string {
    return joinPath(this.#request.attached.attachment.path, pathOfKey(key.subarray(this.#rootLength)));
  }

  #storedPages(): AsyncGenerator<readonly ResolvedEntry[]> {
    const { attached, root, place, signal } = this.#request;
    const { listings } = this.#parts;
    const after = place.stored === null ? null : this.#pathOf(place.stored);
    const ensure: WalkListings['ensure'] = async (_, directory) => listings.listed(directory);
    const asStored = { fresh: (directory: Directory) => listings.listed(directory), ensure, ensureBelow: ensure };
    return pagesOf(new Walk({ ...this.#parts, listings: asStored }, { attached, root, after, signal }, resolved));
  }

  async *#listedPages(): AsyncGenerator<readonly Listed[]> {
    const { attached, storage, root, place } = this.#request;
    const signal = AbortSignal.any([this.#request.signal, attached.signal]);
    const request = { directory: root, recursive: true, after: place.listed, signal };
    for await (const { files } of this.#parts.listings.pagesOf(storage, request).pages()) {
      yield Array.from(files, (file) => ({ ...file, path: this.#pathOf(file.key) }));
    }
  }

  #result(next: SourceCheckPlace | null): SourceCheckPage {
    return {
      differences: this.#differences,
      files: this.#files,
      filesNotCompared: this.#filesNotCompared,
      filesWeak: this.#filesWeak,
      next,
    };
  }
}

/** Null: the same size and tag. */
export function differenceOf(path: string, old: Version | null, now: Version | null): SourceDifference | null {
  if (old !== null && now !== null && old.size === now.size && old.tag === now.tag) return null;
  const kind = old === null ? 'new' : now === null ? 'missing' : 'changed';
  return { kind, type: 'file', path, storedBytes: old?.size ?? null, sourceBytes: now?.size ?? null };
}

/** From `root`, which is the first, down to the one that the file is in. */
function directoriesTo(file: string, root: string): string[] {
  const directories = [root];
  for (let slash = file.indexOf('/', root.length + 1); slash !== -1; slash = file.indexOf('/', slash + 1)) {
    directories.push(file.slice(0, slash));
  }
  return directories;
}
