import { binding } from './load.ts';
import { called } from './native-error.ts';

/** One answer to a LIST: keys and prefixes ascend, each alone, and all begin with the prefix that was asked for. */
export interface ListedPage {
  /** Packed, as `SourceFiles` of `@millpool/under-storage` has them. */
  readonly files: Buffer;
  /** Common prefixes. */
  readonly directories: readonly Buffer[];
  /** Keys that end in `/` and have a content. */
  readonly markers: readonly Buffer[];
  /** The last key or prefix, also when it is none of the above. */
  readonly last: Buffer | null;
  readonly truncated: boolean;
  readonly token: string | null;
}

/**
 * The answer to a LIST of keys that begin with `prefix`, in the form in which servers send it. Its chunks are detached.
 * Null for everything that is not so, what only a real XML parser would get right, and what a list must not contain;
 * then they are as they were.
 */
export function readListPage(chunks: readonly Uint8Array[], prefix: Uint8Array): ListedPage | null {
  const page = called(() => binding().readListPage(chunks, prefix));
  return page === null ? null : { ...page, last: page.last ?? null, token: page.token ?? null };
}
