import type { Freshness, Policy } from './attachment.ts';
import type { ErrorShape } from './errors.ts';
import type { Tier } from './tier.ts';

/**
 * Why a path is cached or not.
 *
 *     cached       every byte is in segments here, of the version that the source has
 *     changed      the source has another version than the one that was listed
 *     directory    it has no bytes of its own
 *     empty        it is a file of no bytes: there is nothing to keep
 *     unlisted     the listing does not have it, the source does
 *     under-way    it is being fetched, or written to a segment
 *     never-read   this version of it was not read since the daemon started, nor before
 *     forgotten    the same, as far as is remembered
 *     policy       its attachment keeps nothing
 *     full         it was read when no device had room
 *     table-full   it was read when the key table had no room
 *     share        it was read when its attachment had its share of the cache already
 *     order        all that is here of its attachment is read sooner (policy order)
 *     young        it was read within 2 s of being written
 *     freed        somebody freed it
 *     evicted      its segment was given up for others
 *     damaged      its bytes did not match their checksum
 *     failed       it could not be fetched
 */
export type WhyReason =
  | 'cached'
  | 'changed'
  | 'directory'
  | 'empty'
  | 'unlisted'
  | 'under-way'
  | 'never-read'
  | 'forgotten'
  | 'policy'
  | 'full'
  | 'table-full'
  | 'order'
  | 'share'
  | 'young'
  | 'freed'
  | 'evicted'
  | 'damaged'
  | 'failed';

/** Where a path's bytes are, who owns its entry, and what a read would cost now. */
export interface WhyReply {
  readonly path: string;
  readonly type: 'file' | 'directory';
  readonly reason: WhyReason;
  /** The reason in words, and what to do where something can be done. */
  readonly sentence: string;
  readonly remedy: string;
  /** Null above all attachments. */
  readonly attachment: WhyAttachment | null;
  readonly owner: WhyOwner | null;
  readonly entry: WhyEntry;
  readonly source: WhySource | null;
  readonly residency: WhyResidency;
  /** By segment, in the order of the file's records. */
  readonly places: readonly WhyPlace[];
  /** What is not resident, by reason. */
  readonly missing: readonly WhyMissing[];
  readonly cost: WhyCost;
}

export interface WhyAttachment {
  readonly path: string;
  readonly source: string;
  readonly policy: Policy;
  readonly freshness: Freshness;
}

export interface WhyOwner {
  readonly node: string;
  /** Whose listing has the entry. */
  readonly directory: string;
  readonly shard: number;
  readonly partition: number;
  readonly partitions: number;
  /** `never` was listed; `under-way` for the first time; `whole` answers when it is fresh. */
  readonly listing: 'never' | 'under-way' | 'whole';
  /** Since its LIST began; null where there is none. */
  readonly listingAgeSeconds: number | null;
  readonly listingFresh: boolean;
}

export interface WhyEntry {
  readonly sizeBytes: number;
  readonly mtimeMs: number | null;
  readonly tag: string;
  readonly from: 'listing' | 'source';
}

/** Of the GETs to a source, those that were sent a second time because the first was slow. */
export interface SourceHedges {
  readonly sent: number;
  /** How often the second was the faster one. */
  readonly won: number;
}

export interface WhySource {
  /** The version that is there now, against the one that was listed; `unknown` where it could not be asked. */
  readonly now: 'same' | 'changed' | 'gone' | 'unknown';
  /** Why it could not be asked, or why nothing can be fetched from it. */
  readonly error: ErrorShape | null;
  /** Of the attachment's last fetch that failed. */
  readonly lastError: (ErrorShape & { readonly secondsAgo: number }) | null;
  readonly fetches: number;
  readonly errors: number;
  readonly hedges: SourceHedges;
  /** Of a fetch; null before the first. */
  readonly meanFetchSeconds: number | null;
}

export interface WhyResidency {
  readonly records: number;
  readonly residentRecords: number;
  readonly residentBytes: number;
  /** What the resident bytes take of the devices: fewer where records are compressed. */
  readonly storedBytes: number;
  /** Of the stored bytes, those that the kernel has in memory. */
  readonly pageCacheBytes: number;
  /** Records whose checksum a reader of this run of the daemon found right. */
  readonly verifiedRecords: number;
}

export interface WhyPlace {
  readonly device: string;
  readonly tier: Tier;
  readonly segment: string;
  readonly sealed: boolean;
  readonly records: number;
  readonly bytes: number;
  readonly pageCacheBytes: number;
}

export interface WhyMissing {
  readonly reason: WhyReason;
  readonly records: number;
  readonly bytes: number;
  /** Since it last happened to one of them; null where it is no event. */
  readonly secondsAgo: number | null;
}

/** Of a read of all of it now. */
export interface WhyCost {
  readonly pageCacheBytes: number;
  readonly deviceBytes: number;
  readonly gets: number;
  readonly sourceBytes: number;
  /** Whether what is fetched would be kept, and why not. */
  readonly kept: 'yes' | 'policy' | 'full' | 'table-full';
  /** Why a read would fail. */
  readonly error: ErrorShape | null;
}
