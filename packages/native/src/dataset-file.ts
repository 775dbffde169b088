import type { NativeDataset, NativeDatasetWriter } from './binding.ts';
import { binding } from './load.ts';
import { called, settled } from './native-error.ts';
import { packObjects, packTexts, type ObjectEntry } from './object-list.ts';

/** A file of a dataset version: an object with the path that its samples are shown under. */
export interface DatasetEntry extends Omit<ObjectEntry, 'attachment'> {
  /** Below the dataset's root, in normal form, without a leading slash. */
  readonly path: string;
}

export interface DatasetFileConfig {
  /** Where the file is written; it appears there whole, at `finish`. */
  readonly file: string;
  /** The path in the namespace whose subtree this is. */
  readonly root: string;
  /** The attachment's canonical identity text. */
  readonly identity: string;
}

export interface DatasetSummary {
  /** 64 hex digits: a hash of the sorted list of (path, size, tag). */
  readonly version: string;
  readonly count: number;
  readonly bytes: number;
}

/** What a file says of itself. */
export interface DatasetHeader extends DatasetSummary {
  /** The path whose subtree it is. */
  readonly root: string;
}

/** A file that is not the same in two versions. */
export interface DatasetChange {
  /** `changed`: of another size or tag. */
  readonly kind: 'added' | 'removed' | 'changed';
  /** Below the root of each. */
  readonly path: string;
  /** Bytes; null where the file is not there. */
  readonly before: number | null;
  readonly after: number | null;
}

/** The entries that come next, in either of two versions that are compared. */
export interface DiffPlace {
  readonly before: number;
  readonly after: number;
}

export interface DiffPage {
  readonly changes: readonly DatasetChange[];
  /** Null after the last page. */
  readonly next: DiffPlace | null;
}

/** Writes a dataset version: one immutable, mappable file. */
export class DatasetFileWriter {
  readonly #native: NativeDatasetWriter;

  constructor(config: DatasetFileConfig) {
    const { file: path, root: attachmentPath, identity } = config;
    this.#native = called(() => binding().createDataset({ path, attachmentPath, identity }));
  }

  /** Appends entries; over all calls their paths ascend in byte order, or it throws `invalid`. */
  push(entries: readonly DatasetEntry[]): void {
    const objects = packObjects(entries.map(({ sourceKey, size, tag }) => ({ attachment: 0, sourceKey, size, tag })));
    const paths = packTexts(entries.map((entry) => entry.path));
    called(() => this.#native.push(objects, paths));
  }

  /** Completes the file, syncs it and puts it in its place. */
  finish(): Promise<DatasetSummary> {
    return settled(() => this.#native.finish());
  }

  /** Removes what was written; nothing happens after `finish`. */
  abandon(): void {
    this.#native.abandon();
  }
}

/** A dataset version, mapped. Safe to use for as long as it is held, also when the daemon is gone. */
export class DatasetFile {
  /** For this package's own calls. */
  readonly native: NativeDataset;

  private constructor(native: NativeDataset) {
    this.native = native;
  }

  /** Maps and checks a file; throws `corrupt` when it is not whole. */
  static open(file: string): DatasetFile {
    return new DatasetFile(called(() => binding().openDataset(file)));
  }

  static of(native: NativeDataset): DatasetFile {
    return new DatasetFile(native);
  }

  /** Reads a file's header and checks it; what follows it is not looked at. */
  static async describe(file: string): Promise<DatasetHeader> {
    const { version, attachmentPath, count, bytes } = await settled(() => binding().describeDataset(file));
    return { version, root: attachmentPath, count, bytes };
  }

  /**
   * At most `limit` changes from this version to `after`, in path order; the first page begins at 0 and 0. A page may
   * have none and not be the last.
   */
  async diff(after: DatasetFile, place: DiffPlace, limit: number): Promise<DiffPage> {
    const { changes, next } = await settled(() => this.native.diff(after.native, place, limit));
    const written = changes.map(({ kind, path, before, after: now }) => ({
      kind,
      path,
      before: kind === 'added' ? null : before,
      after: kind === 'removed' ? null : now,
    }));
    return { changes: written, next: next ?? null };
  }

  get version(): string {
    return this.native.version;
  }

  /** How many files. */
  get length(): number {
    return this.native.length;
  }

  /** Of all its files together. */
  get bytes(): number {
    return this.native.bytes;
  }

  /** The hash of the identity of its source (`identityHash`). */
  get identity(): string {
    return this.native.identity;
  }

  /** The path whose subtree it is. */
  get root(): string {
    return this.native.attachmentPath;
  }

  /** Below the root, without a leading slash. Throws `invalid` for an index outside [0, length). */
  path(index: number): string {
    return called(() => this.native.path(index));
  }

  size(index: number): number {
    return called(() => this.native.size(index));
  }
}
