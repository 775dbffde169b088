import type { Attachments } from './attachments.ts';
import type { Entries } from './entries.ts';
import type { Listings } from './listings.ts';
import type { Turns } from './turns.ts';

/** What a node keeps of the names that it was asked for, and what it takes to find them there. */
export interface KeptNames {
  readonly attachments: Attachments;
  readonly listings: Listings;
  readonly entries: Entries;
  readonly shards: number;
  /** Milliseconds since 1970, never going back while the process lives. */
  readonly nowMs: () => number;
  readonly turns: Turns;
}
