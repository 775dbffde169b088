import type { SourceFiles } from '@millpool/under-storage';

import type { Directory } from './directory.ts';
import type { Entries } from './entries.ts';
import type { Partitions } from './partitions.ts';
import type { ReplacedVersions } from './replaced-versions.ts';
import type { MetadataStore } from './store/environment.ts';
import type { EntryClass } from './store/keys.ts';
import type { DirectoryRecord, EntryRecord } from './store/records.ts';
import type { WriteBuffer } from './store/write-buffer.ts';

/** What an update writes through. */
export interface Shelf {
  readonly store: MetadataStore;
  readonly partitions: Partitions;
  readonly entries: Entries;
  readonly replaced: ReplacedVersions;
}

export interface UpdateRequest {
  readonly directory: Directory;
  /** The record as it is; null when the directory was never listed. */
  readonly former: DirectoryRecord | null;
  /** Shared by the directories of one flat listing. */
  readonly buffer: WriteBuffer;
}

export interface ListedTimes {
  /** Wall clock at the start of the LIST. */
  readonly listedAtMs: number;
  readonly subtreeListedAtMs: number;
}

/** One directory taking in one listing of it. Its lock is held from its beginning to its end. */
export interface Update {
  /** By what its source key has behind the directory's prefix, in the order of that. */
  addFile(bytes: Uint8Array, entry: EntryRecord): void;
  /** All of them are directly in it. */
  addFiles(files: SourceFiles): void;
  /**
   * All of one class, as another store has it: names behind `after`, which is empty at first. Gives the last of them.
   * `corrupt` where it is not that, and the update is to be abandoned.
   */
  addBlock(kind: EntryClass, block: Buffer, after: Uint8Array): Buffer;
  /** In any order. */
  addDirectory(name: string): void;
  /** To be awaited now and then while adding: what is in memory goes to disk when it has become much. */
  settle(): Promise<void>;
  /** The listing was complete. Gives the names of directories that are gone. */
  finish(times: ListedTimes): Promise<readonly string[]>;
  /** It was not: what the directory held before is as it was. */
  abandon(): Promise<void>;
}
