import type { Buffer } from 'node:buffer';

/** What an answer to a LIST says, with names in bytes; nothing of it is checked. */
export interface BucketList {
  readonly objects: readonly ListedObject[];
  readonly prefixes: readonly Buffer[];
  /** It says something that only a list says. */
  readonly isList: boolean;
  readonly isTruncated: boolean;
  readonly token: string | null;
}

/** Null: the answer does not say. */
export interface ListedObject {
  readonly key: Buffer | null;
  readonly size: number | null;
  readonly etag: string | undefined;
  readonly mtimeMs: number | null;
}
