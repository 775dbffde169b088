import type { NamesPart } from '@millpool/protocol';

import type { HeldBlocks } from './held-blocks.ts';
import { mergeSorted } from './merge.ts';
import { mayHold, partitionsOf, shardOf } from './partition-map.ts';
import type { Partitions } from './partitions.ts';
import { EntryBlocks } from './store/entry-blocks.ts';
import type { PlacedBlock } from './store/entry-blocks.ts';
import type { MetadataStore } from './store/environment.ts';
import type { DirectoryName, EntryClass, EntryPlace } from './store/keys.ts';
import { StoredEntry } from './stored-entry.ts';

export interface EntryRange {
  readonly kinds: readonly EntryClass[];
  /** Names before it are left out. */
  readonly from: string;
  /** Names after it are left out; null: to the end. */
  readonly to: string | null;
}

interface Parts {
  readonly store: MetadataStore;
  readonly partitions: Partitions;
  readonly held: HeldBlocks;
}

/**
 * What is stored of a directory, in the byte order of names, each once; a directory before the file of the same name.
 * It can be left for any time between two entries, and the directory may change meanwhile: what comes or goes then may
 * be in it or not, and all else is in it once.
 */
export class EntryScan {
  readonly #parts: Parts;
  readonly #directory: DirectoryName;
  readonly #range: EntryRange;
  /** Null: to be opened behind the last entry. */
  #merged: Iterator<StoredEntry> | null = null;
  /** Of all partitions, as of its opening. */
  #changes = 0;
  #last: { readonly order: string; readonly kind: EntryClass } | null = null;
  /** Undefined: not read yet. */
  #head: StoredEntry | null | undefined;

  constructor(parts: Parts, directory: DirectoryName, range: EntryRange) {
    this.#parts = parts;
    this.#directory = directory;
    this.#range = range;
  }

  /** The entry that comes next; null after the last. */
  get head(): StoredEntry | null {
    this.#head ??= this.#head === undefined ? this.#next() : null;
    return this.#head;
  }

  pass(): void {
    const { head } = this;
    if (head === null) return;
    this.#last = { order: head.order, kind: head.kind };
    this.#head = undefined;
  }

  /** Nothing more is wanted of it. */
  close(): void {
    this.#head = null;
    this.letGo();
  }

  /** Of its blocks, which it reads again when it goes on. */
  letGo(): void {
    this.#merged = null;
    this.#parts.held.remove(this);
  }

  #next(): StoredEntry | null {
    const isCurrent = this.#merged !== null && this.#changes === this.#parts.partitions.changes;
    const merged = isCurrent && this.#merged !== null ? this.#merged : this.#open();
    for (let next = merged.next(); next.done !== true; next = merged.next()) {
      if (!this.#isPassed(next.value)) return next.value;
    }
    this.letGo();
    return null;
  }

  /** Also true of a name's second place, which a split that was not cleaned up leaves. */
  #isPassed({ order, kind }: StoredEntry): boolean {
    const last = this.#last;
    return last !== null && order === last.order && kind >= last.kind;
  }

  #open(): Iterator<StoredEntry> {
    const { store, partitions, held } = this.#parts;
    const { kinds, from, to } = this.#range;
    const places = placesOf(partitions, this.#directory, { kinds });
    const range = { from: this.#last?.order ?? from, to };
    const streams = places.map((place) => new BlockStream(new EntryBlocks(store, place), place.kind, range));
    this.#changes = partitions.changes;
    const [only] = streams;
    this.#merged = streams.length === 1 && only !== undefined ? only : mergeSorted(streams, compareOrder);
    held.add(this, streams.length);
    return this.#merged;
  }
}

/** Where the entries of a directory are, those of a higher class first; of a part, where any of it can be. */
export function placesOf(
  partitions: Partitions,
  directory: DirectoryName,
  { kinds, part = null }: { readonly kinds: readonly EntryClass[]; readonly part?: NamesPart | null },
): EntryPlace[] {
  const map = partitions.mapOf(directory);
  const holding = partitionsOf(map).filter((partition) => part === null || mayHold(partition, part));
  return kinds
    .toSorted((left, right) => right - left)
    .flatMap((kind) =>
      holding.map((partition) => ({ id: directory.id, shard: shardOf(map, partition), partition, kind })),
    );
}

/** The entries of one partition and class. It holds one block, and reads the next one when that is through. */
class BlockStream implements Iterator<StoredEntry, undefined> {
  readonly #blocks: EntryBlocks;
  readonly #kind: EntryClass;
  readonly #to: string | null;
  #placed: PlacedBlock | null;
  #at: number;

  constructor(blocks: EntryBlocks, kind: EntryClass, { from, to }: { from: string; to: string | null }) {
    const name = Buffer.from(from, 'latin1');
    this.#blocks = blocks;
    this.#kind = kind;
    this.#to = to;
    this.#placed = blocks.holding(name);
    this.#at = name.length === 0 ? 0 : (this.#placed?.block.find(name) ?? 0);
  }

  next(): IteratorResult<StoredEntry, undefined> {
    while (this.#placed !== null && this.#at >= this.#placed.block.count) {
      const { block, key } = this.#placed;
      const last = block.name(block.count - 1);
      this.#placed = this.#blocks.after(key);
      // Where the one before was parted meanwhile, the second half of it comes now.
      this.#at = this.#placed?.block.findAfter(last) ?? 0;
    }
    if (this.#placed === null) return { done: true, value: undefined };
    const entry = new StoredEntry(this.#placed.block, this.#at, this.#kind);
    this.#at += 1;
    if (this.#to !== null && entry.order > this.#to) {
      this.#placed = null;
      return { done: true, value: undefined };
    }
    return { done: false, value: entry };
  }
}

function compareOrder(left: StoredEntry, right: StoredEntry): number {
  if (left.order === right.order) return 0;
  return left.order < right.order ? -1 : 1;
}
