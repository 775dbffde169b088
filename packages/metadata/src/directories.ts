import { nameOf, parentOf } from '@millpool/protocol';
import type { ListingPart, NamesPart, OwnerCopyRequest } from '@millpool/protocol';

import type { Attached } from './attached.ts';
import { partOfDirectory } from './directory.ts';
import type { Directory } from './directory.ts';
import { floorMsOf } from './freshness.ts';
import type { KeptNames } from './kept-names.ts';
import { partOf } from './listing-copy.ts';
import type { ListingCopies } from './listing-copy.ts';
import { noSuchPath } from './resolved-entry.ts';
import type { LookupResult } from './resolved-entry.ts';
import { entryClasses } from './store/keys.ts';

/** A directory by its path, or a part of it. */
export interface KeptRequest {
  readonly path: string;
  readonly part: NamesPart | null;
  /** Older than that it is made again; null: as its freshness says. */
  readonly maxAgeSeconds: number | null;
}

export interface ListingAge {
  /** Null where it is not fresh. */
  readonly seconds: number | null;
  /** Up to which it is fresh; Infinity for what never changes. */
  readonly limitSeconds: number;
}

export interface KeptByShard {
  readonly names: ReadonlyMap<number, number>;
  /** Of the store, about. */
  readonly bytesAName: number;
}

export type CopyRequest = Pick<OwnerCopyRequest, 'path' | 'part' | 'maxAgeSeconds' | 'known' | 'after'>;

/** Listings of directories as the nodes of a cluster take them from each other. `not-found` where none is attached. */
export class Directories {
  readonly #parts: KeptNames;

  constructor(parts: KeptNames) {
    this.#parts = parts;
  }

  /** From now on a directory is listed only where nobody has it. */
  copyFrom(copies: ListingCopies): void {
    this.#parts.listings.copied.copyFrom(copies);
  }

  /** A part of a directory's listing, which is made where what is there is older than that. */
  async copyPart({ path, part, maxAgeSeconds, known, after }: CopyRequest, signal: AbortSignal): Promise<ListingPart> {
    const { listings, nowMs } = this.#parts;
    const { attached, directory } = this.#at(path, null);
    const now = nowMs();
    const floorMs = maxAgeSeconds === null ? Number.NEGATIVE_INFINITY : now - 1_000 * maxAgeSeconds;
    const record = await listings.ensure(attached, directory, { floorMs, signal });
    const ageSeconds = Math.max(0, now - record.listedAtMs) / 1_000;
    // One that was copied is known by the stamp that it came with, whoever gives it on.
    const stamp = listings.copied.stampOf(directory) ?? listings.stamps.of(directory, record);
    if (known === stamp && after === null) {
      return { kind: entryClasses.plainFile, blocks: [], next: null, ageSeconds, stamp, isUnchanged: true };
    }
    const copied = await partOf(this.#parts, { directory, record, part, after }, signal);
    return { ...copied, ageSeconds, stamp, isUnchanged: false };
  }

  /** It is there, and fresh, when this has ended. */
  async ensure({ path, part, maxAgeSeconds }: KeptRequest, signal: AbortSignal): Promise<void> {
    const { listings, nowMs } = this.#parts;
    const { attached, directory } = this.#at(path, part);
    const now = nowMs();
    const floorMs = Math.max(
      floorMsOf(attached.attachment.freshness, now),
      maxAgeSeconds === null ? Number.NEGATIVE_INFINITY : now - 1_000 * maxAgeSeconds,
    );
    await listings.ensure(attached, directory, { floorMs, signal });
  }

  age(path: string, part: NamesPart | null): ListingAge {
    const { listings, nowMs } = this.#parts;
    const { attached, directory } = this.#at(path, part);
    const now = nowMs();
    const floorMs = floorMsOf(attached.attachment.freshness, now);
    const record = listings.fresh(directory, floorMs);
    const seconds = record === null ? null : Math.max(0, now - record.listedAtMs) / 1_000;
    return { seconds, limitSeconds: (now - floorMs) / 1_000 };
  }

  /** Paths that are all in one part of one directory; null where that is not fresh. */
  lookup(paths: readonly string[], part: NamesPart): LookupResult[] | null {
    const { listings, entries, nowMs } = this.#parts;
    const [first = '/'] = paths;
    const { attached, directory } = this.#at(parentOf(first), part);
    if (listings.fresh(directory, floorMsOf(attached.attachment.freshness, nowMs())) === null) return null;
    return paths.map((path) => entries.named(directory, nameOf(path)) ?? { error: noSuchPath(path).shape });
  }

  /** As of its last listing; 0 when it was never listed. */
  namesIn(path: string): number {
    return this.#parts.entries.countOf(this.#at(path, null).directory);
  }

  /** What is stored, however old: names by the shard that their directories have their home in. */
  async kept(signal: AbortSignal): Promise<KeptByShard> {
    const { entries, turns } = this.#parts;
    const names = new Map<number, number>();
    let all = 0;
    for (const counts of entries.counts()) {
      for (const { home, count } of counts) {
        names.set(home, (names.get(home) ?? 0) + count);
        all += count;
      }
      await turns.next(signal);
    }
    return { names, bytesAName: all === 0 ? 0 : entries.storedBytes / all };
  }

  /** Paths of those that have their home in a shard and are fresh. */
  async *freshIn(shard: number, signal: AbortSignal): AsyncGenerator<readonly string[]> {
    const { attachments, listings, turns } = this.#parts;
    for (const records of listings.storedIn(shard)) {
      const known = new Map(attachments.current().map((attached) => [attached.attachment.id, attached]));
      const paths = records.flatMap(({ attachment, prefix }) => known.get(attachment)?.pathOf(prefix) ?? []);
      // KeptNames have the path of their directory.
      const fresh = [...new Set(paths)].filter((path) => this.age(path, null).seconds !== null);
      if (fresh.length > 0) yield fresh;
      await turns.next(signal);
    }
  }

  #at(path: string, part: NamesPart | null): { readonly attached: Attached; readonly directory: Directory } {
    const { attachments, shards } = this.#parts;
    const attached = attachments.covering(path);
    if (attached === null) throw noSuchPath(path);
    const whole = attached.directory(path, shards);
    return { attached, directory: part === null ? whole : partOfDirectory(whole, part) };
  }
}
