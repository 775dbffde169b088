import { EntryMerge } from '@millpool/native';
import type { TakenEntry } from '@millpool/native';
import type { PackedEntries } from '@millpool/protocol';

import type { Directory } from './directory.ts';
import { placesOf } from './entry-scan.ts';
import type { HeldBlocks } from './held-blocks.ts';
import type { Partitions } from './partitions.ts';
import { EntryBlocks } from './store/entry-blocks.ts';
import type { MetadataStore } from './store/environment.ts';
import type { EntryClass } from './store/keys.ts';

interface Parts {
  readonly store: MetadataStore;
  readonly partitions: Partitions;
  readonly held: HeldBlocks;
}

export interface PageRange {
  readonly kinds: readonly EntryClass[];
  /** Null: from the first. */
  readonly after: TakenEntry | null;
}

const noName = Buffer.alloc(0);

/**
 * One page of what is stored of a directory, in the order of `EntryScan` and as steady under changes, but natively: an
 * entry of it is never an object here.
 */
export class EntryPage {
  readonly #parts: Parts;
  readonly #directory: Directory;
  readonly #kinds: readonly EntryClass[];
  readonly #merge: EntryMerge;
  /** Null: to be opened behind the last entry. */
  #streams: readonly BlockStream[] | null = null;
  /** Of all partitions, as of the opening. */
  #changes = 0;

  constructor(parts: Parts, directory: Directory, { kinds, after }: PageRange) {
    this.#parts = parts;
    this.#directory = directory;
    this.#kinds = kinds;
    this.#merge = new EntryMerge(directory.path, after);
  }

  get count(): number {
    return this.#merge.count;
  }

  /** Null: neither anything in it nor before it. */
  get last(): TakenEntry | null {
    return this.#merge.last;
  }

  /** Adds up to `count` entries; false: there are no more. */
  fill(count: number): boolean {
    const isCurrent = this.#streams !== null && this.#changes === this.#parts.partitions.changes;
    const streams = isCurrent && this.#streams !== null ? this.#streams : this.#open();
    const end = this.count + count;
    for (;;) {
      const pause = this.#merge.take(end - this.count);
      if (pause === 'enough') return true;
      if (pause === 'over') return false;
      this.#merge.put(pause.wants, streams[pause.wants]?.next() ?? null);
    }
  }

  packed(): PackedEntries {
    return this.#merge.packed();
  }

  /** Nothing more is wanted of it but what it has. */
  letGo(): void {
    this.#streams = null;
    this.#merge.open([]);
    this.#parts.held.remove(this);
  }

  #open(): readonly BlockStream[] {
    const { store, partitions, held } = this.#parts;
    const places = placesOf(partitions, this.#directory, { kinds: this.#kinds });
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
