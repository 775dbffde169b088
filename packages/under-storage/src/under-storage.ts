import type { SourceAddress, SourceCredentials } from '@millpool/protocol';

import type { SourceFile, SourceFiles } from './source-files.ts';

/**
 * Where the data truly lives, as the rest of the program sees it: named files with sizes and tags, in the order of
 * their keys' bytes, and nothing that writes. A driver is safe to call many times at once.
 *
 * A key is the source's own: an object key of a bucket, a path below a folder without a leading slash; `/` separates
 * names. A key that ends in `/` is never a file. Errors are `MillpoolError`s: `refused` (permission, credentials),
 * `source-unavailable` (also where the bucket or folder itself is gone), `source-broken` (the answer makes no sense),
 * `timeout`, `cancelled`, `closed`, `io`.
 */
export interface UnderStorage {
  readonly scheme: 's3' | 'local';
  /** The source as it is kept: `s3://bucket/prefix` without a trailing slash, or the real path of a folder. */
  readonly source: string;
  /** What every key of this under-storage begins with: empty, or the attached prefix of a bucket with its `/`. */
  readonly root: Uint8Array;
  readonly supports: Capabilities;
  /** By which the native side reads the same files. */
  readonly address: SourceAddress;

  /** Canonical text of where the bytes truly are: `s3\0ENDPOINT\0BUCKET` or `local\0DEVICE\0REAL ROOT`. */
  identity(): string;

  /**
   * One page. The pages of one listing together are complete: they hold every file that was there from before the first
   * page to after the last. Files that come or go meanwhile may be in it or not. Within a page and from page to page
   * the keys ascend strictly by their bytes, where a directory stands at its prefix (`a-b` before `a/`). Any page may
   * be shorter than `limit`, even empty; only `next: null` is the end.
   *
   * A LIST that fails is an error, never an empty page. A prefix with nothing below it is an empty listing, and so is
   * one that does not exist: a bucket cannot tell them apart.
   */
  list(request: ListRequest): Promise<ListPage>;

  /**
   * The file with this key now, or null, which means that it certainly does not exist: the source was asked and said
   * so. A directory is not a file: null. Doubt is an error.
   */
  stat(key: Uint8Array, signal: AbortSignal): Promise<SourceFile | null>;

  /**
   * What the source is to be read with, never older than the provider allows; ask again before `expiresAtMs`. Null
   * where nothing is to be signed. Never to be logged or sent to another machine.
   */
  credentials(): Promise<SourceCredentials | null>;

  /** Lets go of connections. Calls under way and later ones fail with `closed`. */
  close(): Promise<void>;
}

export interface ListRequest {
  /** Empty, or ends in `/`; begins with the under-storage's `root`. */
  readonly prefix: Uint8Array;
  /** True: the files of the whole subtree and no directories. False: what is directly below the prefix. */
  readonly recursive: boolean;
  /** Only keys strictly after this one, usually the `next` of the page before. Null: from the beginning. */
  readonly after: Uint8Array | null;
  /** Files and directories together; at least 1. */
  readonly limit: number;
  readonly signal: AbortSignal;
}

export interface ListPage {
  readonly files: SourceFiles;
  /**
   * Full prefixes with their `/`. A bucket can hold the key `a` beside keys below `a/`: then the file `a` and the
   * directory `a/` are both here, and the namespace decides which of them it shows.
   */
  readonly directories: readonly Uint8Array[];
  /** What is there, but is no file that could be read; so that it can be said. */
  readonly skipped: readonly Skipped[];
  readonly next: Uint8Array | null;
}

export interface Skipped {
  readonly key: Uint8Array;
  readonly why: SkipReason;
}

/** Why something that is there is not listed, as a clause. */
export const skipReasons = {
  special: 'it is neither a file nor a directory',
  outside: 'it is a link that leaves the attached folder',
  dangling: 'it is a link to nothing',
  loop: 'it is a link to a directory that holds it',
  marker: 'its key ends in "/", which is a directory, but it has a content',
} as const;
export type SkipReason = keyof typeof skipReasons;

/** What may be expected of a driver. The contract suite reads it too. */
export interface Capabilities {
  /** Keys may hold bytes that are not UTF-8. */
  readonly anyBytes: boolean;
  /** `a//b`, `/a`, `./a` and `a/../b` are keys like any other. */
  readonly oddKeys: boolean;
  /** A file `a` may stand beside files below `a/`. */
  readonly fileBesideDirectory: boolean;
  /** Keys may hold newlines and other control characters. */
  readonly controlCharacters: boolean;
  /** A directory without files is listed. */
  readonly emptyDirectories: boolean;
}

/** How long things may last. */
export interface Patience {
  /** One call of an under-storage, with all that is tried again. */
  readonly requestMs: number;
  /** Credentials without an end are asked for again after this. */
  readonly credentialsMs: number;
}
