import { isPlain } from './directory.ts';
import type { Directory } from './directory.ts';
import { EntryScan } from './entry-scan.ts';
import type { EntryRange } from './entry-scan.ts';
import { HeldBlocks } from './held-blocks.ts';
import { partitionsOf } from './partition-map.ts';
import type { PartitionCount, Partitions } from './partitions.ts';
import type { MetadataStore } from './store/environment.ts';
import { resolved } from './resolved-entry.ts';
import type { ResolvedEntry } from './resolved-entry.ts';
import { SortedEntries } from './sorted-entries.ts';
import type { SortedRange } from './sorted-entries.ts';
import { EntryBlocks } from './store/entry-blocks.ts';
import { entryClasses } from './store/keys.ts';
import type { DirectoryName, EntryClass } from './store/keys.ts';
import type { DirectoryRecord, EntryRecord } from './store/records.ts';

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
  readonly #held = new HeldBlocks();

  constructor(store: MetadataStore, partitions: Partitions) {
    this.#store = store;
    this.#partitions = partitions;
  }

  get(directory: DirectoryName, type: EntryRecord['type'], name: string): EntryRecord | null {
    const bytes = Buffer.from(name);
    const place = this.#partitions.placeOf(directory, classOf(type, name), bytes);
    return new EntryBlocks(this.#store, place).get(bytes);
  }

  /** The file of that name, or else the directory. */
  named(directory: Directory, name: string): ResolvedEntry | null {
    const record = this.get(directory, 'file', name) ?? this.get(directory, 'directory', name);
    return record === null ? null : resolved(directory, name, record);
  }

  /** As of its last listing; 0 when it was never listed. */
  countOf(directory: DirectoryName): number {
    const partitions = partitionsOf(this.#partitions.mapOf(directory));
    return partitions.reduce((count, partition) => count + this.#partitions.countOf(directory, partition), 0);
  }

  /** Of all directories, a count a partition, in runs that the caller may wait between. */
  counts(): Generator<readonly PartitionCount[]> {
    return this.#partitions.counts();
  }

  /** All that is stored, about. */
  get storedBytes(): number {
    return this.#store.usedBytes;
  }

  /** To be let go of in the end. */
  sorted(directory: DirectoryName, range: SortedRange): SortedEntries {
    return new SortedEntries({ store: this.#store, partitions: this.#partitions, held: this.#held }, directory, range);
  }

  /** To be closed, unless it is gone through to its end. */
  scan(directory: DirectoryName, range: EntryRange): EntryScan {
    return new EntryScan({ store: this.#store, partitions: this.#partitions, held: this.#held }, directory, range);
  }
}
