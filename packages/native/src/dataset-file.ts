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
