import type { NativeNameCache, NativeNameTable } from './binding-names.ts';
import { binding } from './load.ts';
import { called } from './native-error.ts';

/** The files of one directory, by name; to be given to a cache. */
export class NameTable {
  /** @internal */
  readonly native: NativeNameTable;

  /** `prefix` is what the source keys of all its files begin with; `names`: about how many they are. */
  constructor(attachment: number, prefix: Uint8Array, names: number) {
    const { NativeNameTable } = binding();
    this.native = called(() => new NativeNameTable(attachment, prefix, names));
  }

  /**
   * The files of a block of the metadata store (docs/formats.md, `entry-block`); the names of each block are in no
   * other one. `corrupt` where it is none, `full` where they are more than one table can hold.
   */
  add(block: Uint8Array): void {
    called(() => this.native.add(block));
  }
}

export interface TableFreshness {
  /** What tells one content of the directory from another. */
  readonly generation: number;
  /** Milliseconds of the caller's clock, which does not go back; after it the table answers nothing. */
  readonly freshUntilMs: number;
}

/** What was found of some paths. */
export interface FoundNames {
  /** A packed list of objects, in the order asked (`packObjects`). */
  readonly objects: Uint8Array;
  /** By path, where the list ends behind it; the one that was not found ends where the one before it did. */
  readonly ends: Uint32Array;
  /** Attachments of which a file has a weak tag. */
  readonly weak: readonly number[];
}

const noNames = new Uint32Array();
const countBytes = 4;

/** Tables of directories' names by the paths of the directories, of which that of the root is empty. */
export class NameCache {
  readonly #native: NativeNameCache;
  #ends = noNames;

  /** So much memory all of them take at most. */
  constructor(bytesMax: number) {
    const { NativeNameCache } = binding();
    this.#native = called(() => new NativeNameCache(bytesMax));
  }

  get bytes(): number {
    return called(() => this.#native.bytes());
  }

  /** In the place of the one that it had. False: there is no room, as all others were used within the last minute. */
  put(directory: string, table: NameTable, freshness: TableFreshness, nowMs: number): boolean {
    return called(() => this.#native.put(directory, table.native, freshness, nowMs));
  }

  /** Whether the directory has a table of that content, which is fresh for as long; one of another is dropped. */
  renew(directory: string, freshness: TableFreshness): boolean {
    return called(() => this.#native.renew(directory, freshness));
  }

  drop(directory: string): void {
    called(() => this.#native.drop(directory));
  }

  clear(): void {
    called(() => this.#native.clear());
  }

  /** One that is not found may be there nevertheless. `ends` holds until the next call. */
  find(paths: readonly string[], nowMs: number): FoundNames {
    if (this.#ends.length < paths.length) this.#ends = new Uint32Array(2 * paths.length);
    const ends = this.#ends.subarray(0, paths.length);
    const found = called(() => this.#native.find(paths.join('\0'), ends, nowMs));
    const end = ends.at(-1) ?? countBytes;
    const weak = Array.from({ length: (found.length - end) / 4 }, (_, at) => found.readUInt32LE(end + 4 * at));
    return { objects: found.subarray(0, end), ends, weak };
  }
}
