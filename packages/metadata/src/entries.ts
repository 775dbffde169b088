import { isPlain } from './directory.ts';
import { mergeSorted } from './merge.ts';
import { partitionsOf, shardOf } from './partition-map.ts';
import type { Partitions } from './partitions.ts';
import type { MetadataStore } from './store/environment.ts';
import { entryClasses, entryPrefix, nameAt, named, successorOf } from './store/keys.ts';
import type { DirectoryName, EntryClass } from './store/keys.ts';
import { decodeEntry } from './store/records.ts';
import type { DirectoryRecord, EntryRecord } from './store/records.ts';

export interface StoredEntry {
  /** The name's UTF-8 bytes, each as one character, so that JavaScript's `<` is the order of the bytes. */
  readonly order: string;
  readonly kind: EntryClass;
  readonly value: Buffer;
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
    const value = this.#store.get(this.#partitions.keyOf(directory, classOf(type, name), Buffer.from(name)).key);
    return value === undefined ? null : decodeEntry(value);
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

  *#stream(
    place: { id: Uint8Array; shard: number; partition: number; kind: EntryClass },
    range: EntryRange,
  ): Generator<StoredEntry, void, undefined> {
    const prefix = entryPrefix(place);
    const start = named(prefix, Buffer.from(range.from, 'latin1'));
    const end =
      range.to === null ? successorOf(prefix) : Buffer.concat([prefix, Buffer.from(range.to, 'latin1'), Buffer.of(0)]);
    const pairs = this.#store.scan({ start, end });
    try {
      for (let next = pairs.next(); next.done !== true; next = pairs.next()) {
        const { key, value } = next.value;
        yield { order: key.toString('latin1', nameAt), kind: place.kind, value };
      }
    } finally {
      pairs.return?.();
    }
  }
}

function compareOrder(left: StoredEntry, right: StoredEntry): number {
  if (left.order === right.order) return 0;
  return left.order < right.order ? -1 : 1;
}
