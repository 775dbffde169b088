import { EntryMerge } from '@millpool/native';
import type { BlockPacker, PackedPage, TakenEntry } from '@millpool/native';
import type { NamesPart } from '@millpool/protocol';

import { placesOf } from './entry-scan.ts';
import type { HeldBlocks } from './held-blocks.ts';
import type { Partitions } from './partitions.ts';
import { EntryBlocks } from './store/entry-blocks.ts';
import type { MetadataStore } from './store/environment.ts';
import type { DirectoryName, EntryClass } from './store/keys.ts';

interface Parts {
  readonly store: MetadataStore;
  readonly partitions: Partitions;
  readonly held: HeldBlocks;
}

export interface SortedRange {
  readonly kinds: readonly EntryClass[];
  /** Partitions that hold nothing of it are left out. */
  readonly part?: NamesPart | null;
  /** Null: from the first. */
  readonly after: TakenEntry | null;
}

const noName = Buffer.alloc(0);

/**
 * What is stored of a directory, in the order of `EntryScan` and as steady under changes, but natively: an entry of it
 * is never an object here.
 */
export class SortedEntries {
  readonly #parts: Parts;
  readonly #directory: DirectoryName;
  readonly #range: SortedRange;
  readonly #merge: EntryMerge;
  /** Null: to be opened behind the last entry. */
  #streams: readonly BlockStream[] | null = null;
  /** Of all partitions, as of the opening. */
  #changes = 0;

  constructor(parts: Parts, directory: DirectoryName, range: SortedRange) {
    this.#parts = parts;
    this.#directory = directory;
    this.#range = range;
    this.#merge = new EntryMerge(range.after);
  }

  /** That was taken, or that it begins behind; null: none. */
  get last(): TakenEntry | null {
    return this.#merge.last;
  }

  /** Goes through up to `count` entries; false: there are no more. */
  take(count: number, into: PackedPage | BlockPacker): boolean {
    const isCurrent = this.#streams !== null && this.#changes === this.#parts.partitions.changes;
    const streams = isCurrent && this.#streams !== null ? this.#streams : this.#open();
    const end = this.#merge.taken + count;
    for (;;) {
      const pause = this.#merge.take(end - this.#merge.taken, into);
      if (pause === 'enough') return true;
      if (pause === 'over') return false;
      this.#merge.put(pause.wants, streams[pause.wants]?.next() ?? null);
    }
  }

  /** Of its blocks: nothing more is wanted of it for now. */
  letGo(): void {
    this.#streams = null;
    this.#merge.open([]);
    this.#parts.held.remove(this);
  }

  #open(): readonly BlockStream[] {
    const { store, partitions, held } = this.#parts;
    const places = placesOf(partitions, this.#directory, this.#range);
    const from = this.last?.name ?? noName;
    this.#streams = places.map((place) => new BlockStream(new EntryBlocks(store, place), from));
    this.#merge.open(places.map(({ kind }) => kind));
    this.#changes = partitions.changes;
    held.add(this, places.length);
    return this.#streams;
  }
}

/** The blocks of one partition and class, from the one on that has a name. */
class BlockStream {
  readonly #blocks: EntryBlocks;
  readonly #from: Buffer;
  /** Of the last one. */
  #key: Buffer | null = null;

  constructor(blocks: EntryBlocks, from: Buffer) {
    this.#blocks = blocks;
    this.#from = from;
  }

  /** Null after the last. */
  next(): Buffer | null {
    const placed = this.#key === null ? this.#blocks.holding(this.#from) : this.#blocks.after(this.#key);
    this.#key = placed?.key ?? this.#key;
    return placed?.block.bytes ?? null;
  }
}
