import type { PackedEntries } from './packed-entries.ts';

export interface ListRequest {
  readonly path: string;
  /** Files of the whole subtree in path order, no directories; otherwise one directory's entries in name order. */
  readonly recursive: boolean;
  /** Of the reply before, or null to begin. */
  readonly cursor: string | null;
  /** At most 10,000. */
  readonly limit: number;
}

export interface ListReply {
  /** Of what was listed; a page may have none and yet not be the last. */
  readonly entries: PackedEntries;
  /** Null after the last entry. */
  readonly cursor: string | null;
  /** Since the start of the oldest LIST in it. */
  readonly ageSeconds: number;
  /** The directory was listed again since the cursor was given: what stood before it may have come or gone unseen. */
  readonly changed: boolean;
}
