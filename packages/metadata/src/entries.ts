import { isPlain } from './directory.ts';
import { mergeSorted } from './merge.ts';
import { partitionsOf, shardOf } from './partition-map.ts';
import type { Partitions } from './partitions.ts';
import type { MetadataStore } from './store/environment.ts';
import type { EntryBlock } from './store/entry-block.ts';
import { EntryBlocks } from './store/entry-blocks.ts';
import { entryClasses } from './store/keys.ts';
import type { DirectoryName, EntryClass, EntryPlace } from './store/keys.ts';
import { decodeEntry } from './store/records.ts';
import type { DirectoryRecord, EntryRecord } from './store/records.ts';

/** One entry, where it lies. What it is made into is made when it is asked for: much is only passed. */
export class StoredEntry {
  /** The name's UTF-8 bytes, each as one character, so that JavaScript's `<` is the order of the bytes. */
  readonly order: string;
  readonly kind: EntryClass;
  readonly #block: EntryBlock;
  readonly #at: number;

  constructor(block: EntryBlock, at: number, kind: EntryClass) {
    this.order = block.order(at);
    this.kind = kind;
    this.#block = block;
    this.#at = at;
  }

  /** As it is stored. */
  get value(): Buffer {
    return this.#block.value(this.#at);
  }

  get record(): EntryRecord {
    return decodeEntry(this.value);
  }
}

export interface EntryRange {
  readonly kinds: readonly EntryClass[];
  /** Names before it are left out. */
  readonly from: string;
  /** Names after it are left out; null: to the end. */
  readonly to: string | null;
}

const beyondAscii = /[\x80-\xff]/;

export function nameOfOrder(order: string): string {
  return beyondAscii.test(order) ? Buffer.from(order, 'latin1').toString('utf8') : order;
}

export function orderOfName(name: string): string {
  return Buffer.from(name).toString('latin1');
}

export function classOf(type: EntryRecord['type'], name: string): EntryClass {
  if (type === 'directory') return entryClasses.directory;
  return isPlain(name) ? entryClasses.plainFile : entryClasses.oddFile;
}

/** The classes that a directory has any entries of. */
export function classesIn({ hasOddFiles, hasDirectories }: DirectoryRecord): EntryClass[] {
  const { plainFile, oddFile, directory } = entryClasses;
  return [plainFile, ...(hasOddFiles ? [oddFile] : []), ...(hasDirectories ? [directory] : [])];
}

/** What is stored of the entries of directories, whatever their partitions. */
export class Entries {
  readonly #store: MetadataStore;
  readonly #partitions: Partitions;

  constructor(store: MetadataStore, partitions: Partitions) {
    this.#store = store;
    this.#partitions = partitions;
  }

  get(directory: DirectoryName, type: EntryRecord['type'], name: string): EntryRecord | null {
    const bytes = Buffer.from(name);
    const place = this.#partitions.placeOf(directory, classOf(type, name), bytes);
    const value = new EntryBlocks(this.#store, place).get(bytes);
    return value === null ? null : decodeEntry(value);
  }

  /** As of its last listing; 0 when it was never listed. */
  countOf(directory: DirectoryName): number {
    const partitions = partitionsOf(this.#partitions.mapOf(directory));
    return partitions.reduce((count, partition) => count + this.#partitions.countOf(directory, partition), 0);
  }

  /**
   * In the byte order of names, each once; a directory before the file of the same name. To be gone through without
   * awaiting.
   */
  *scan(directory: DirectoryName, range: EntryRange): Generator<StoredEntry, void, undefined> {
    const map = this.#partitions.mapOf(directory);
    const streams: Iterator<StoredEntry>[] = [];
    for (const kind of range.kinds.toSorted((left, right) => right - left)) {
      for (const partition of partitionsOf(map)) {
        streams.push(this.#stream({ id: directory.id, shard: shardOf(map, partition), partition, kind }, range));
      }
    }
    const [only, second] = streams;
    if (only !== undefined && second === undefined) {
      yield* { [Symbol.iterator]: () => only };
      return;
    }
    // A split that was not cleaned up yet leaves a name in two partitions: equal neighbours.
    let last: StoredEntry | null = null;
    for (const entry of mergeSorted(streams, compareOrder)) {
      if (last === null || last.order !== entry.order || last.kind !== entry.kind) yield entry;
      last = entry;
    }
  }

  *#stream(place: EntryPlace, range: EntryRange): Generator<StoredEntry, void, undefined> {
    const from = Buffer.from(range.from, 'latin1');
    let isFirst = from.length > 0;
    for (const block of new EntryBlocks(this.#store, place).from(from)) {
      // What the first block has before the range is passed at once.
      const start = isFirst ? block.find(from) : 0;
      isFirst = false;
      for (let at = start; at < block.count; at += 1) {
        const entry = new StoredEntry(block, at, place.kind);
        if (range.to !== null && entry.order > range.to) return;
        yield entry;
      }
    }
  }
}

function compareOrder(left: StoredEntry, right: StoredEntry): number {
  if (left.order === right.order) return 0;
  return left.order < right.order ? -1 : 1;
}
