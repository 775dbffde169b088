import type { Entry } from './entry.ts';
import type { ErrorShape } from './errors.ts';
import type { ListReply, ListRequest } from './list.ts';

/** Who owns a shard, and in which term. */
export interface ShardOwner {
  readonly owner: string;
  readonly term: number;
}

/** Names of a directory that was shared out: those of which the hash ends in `index`, of `count`, a power of two. */
export interface NamesPart {
  readonly index: number;
  readonly count: number;
}

/** Paths whose entries are kept in one shard, asked of the node that is thought to own it. */
export interface OwnerQuestion {
  readonly shard: number;
  /** As the caller knows it: one that is newer than what the owner knows makes it look. */
  readonly term: number;
  readonly attachment: number;
  /** Of one directory, and all of its names in that part; null: the shard is the home of their directories. */
  readonly part: NamesPart | null;
  readonly paths: readonly string[];
}

/**
 * In the order asked; or who owns the shard, as far as the node that does not knows; or that it does not have that part
 * of the directory (now), which its home has.
 */
export type OwnerAnswer =
  | {
      readonly results: readonly OwnerResult[];
      /** Since the start of the LIST that they are from; null: they may be as old as freshness allows. */
      readonly ageSeconds: number | null;
    }
  | { readonly moved: ShardOwner | null }
  | { readonly repartitioned: true };
export type OwnerResult = Entry | { readonly error: ErrorShape };

export interface OwnerLookupRequest {
  /** The id of the node that asks. */
  readonly from: string;
  readonly questions: readonly OwnerQuestion[];
}

/** A shard's owner is asked for a whole directory. */
interface HomeQuestion extends Omit<OwnerQuestion, 'paths' | 'part'> {
  readonly from: string;
}

export interface OwnerListRequest extends HomeQuestion {
  readonly list: ListRequest;
}

export type OwnerListReply = { readonly page: ListReply } | { readonly moved: ShardOwner | null };

/** Classes of a directory's entries in the order in which a copy of its listing has them. */
export const entryClassCount = 3;

/** Where a copy of a listing goes on: behind a name of a class of entries; the empty name is before all. */
export interface CopyPlace {
  readonly kind: number;
  readonly name: Uint8Array;
}

export interface OwnerCopyRequest extends HomeQuestion {
  /** Of the directory. */
  readonly path: string;
  /** Null: all of it. */
  readonly part: NamesPart | null;
  /** Older than that it is listed again; null: whatever its age. */
  readonly maxAgeSeconds: number | null;
  /** The stamp of what the caller has of it; null: nothing. */
  readonly known: string | null;
  /** Null: from the beginning. */
  readonly after: CopyPlace | null;
  /** The owner has sent the caller to this node, which has a copy; or back to the owner, where it is not sent on. */
  readonly isReferred: boolean;
}

/** A part of a directory's listing, in the order of its entries, all of one class. */
export interface ListingPart {
  /** Since the start of the LIST. */
  readonly ageSeconds: number;
  /** Of all names and what is kept of them: another one where anything has changed. */
  readonly stamp: string;
  /** The caller has all of it: there are no blocks. */
  readonly isUnchanged: boolean;
  readonly kind: number;
  /** As the stores of nodes have them (`docs/formats.md`). */
  readonly blocks: readonly Uint8Array[];
  /** Null: it is whole. */
  readonly next: CopyPlace | null;
}

/** `at`: the id of a node that has a copy and is to be asked instead. */
export type OwnerCopyReply =
  | { readonly part: ListingPart }
  | { readonly moved: ShardOwner | null }
  | { readonly at: string };

export interface AnsweredReads {
  readonly path: string;
  /** The id of the node that asked. */
  readonly caller: string;
  readonly reads: number;
  /** Where all of them were look-ups of one name that has replicas. */
  readonly nameHash: number | null;
}

/** What a node answered from copies, since it told last. */
export interface OwnerReadsRequest {
  readonly from: string;
  readonly directories: readonly AnsweredReads[];
}

/** Directories of a shard that is to move, of which the node that is to have it takes copies. */
export interface OwnerTakeRequest {
  readonly from: string;
  readonly shard: number;
  readonly paths: readonly string[];
}

/** What was counted of one directory, as rates that a past of a few half-lives made. */
export interface DirectoryHeat {
  /** Its path. */
  readonly directory: string;
  readonly readsPerS: number;
  readonly writesPerS: number;
  /** About how many nodes asked within one half-life. */
  readonly callers: number;
  /** The name that is looked up most; null where none was. */
  readonly hottestEntry: { readonly nameHash: number; readonly readsPerS: number } | null;
  /** At most so many operations a second were counted before the directory had a place of its own. */
  readonly unseenPerS: number;
}

/** What a shard has, as far as its owner knows, and what is asked of it. */
export interface ShardContent {
  readonly shard: number;
  /** Names in its listings, however old. */
  readonly entries: number;
  /** What they take in its owner's store, about. */
  readonly bytes: number;
  readonly readsPerS: number;
}

/** What nodes of a cluster ask each other. */
export interface OwnerMethods {
  'owner-lookup': { request: OwnerLookupRequest; reply: { answers: readonly OwnerAnswer[] } };
  /** A page of the directory `list.path`, or of all below it. */
  'owner-list': { request: OwnerListRequest; reply: OwnerListReply };
  /** A part of the listing of one directory, which is listed first where it is too old. */
  'owner-copy': { request: OwnerCopyRequest; reply: OwnerCopyReply };
  /** How many of them it has now. */
  'owner-take': { request: OwnerTakeRequest; reply: { taken: number } };
  'owner-reads': { request: OwnerReadsRequest; reply: Record<string, never> };
  /** Directories that it has answered for most of late, the hottest first. */
  'owner-heat': { request: { limit: number }; reply: { directories: readonly DirectoryHeat[] } };
  /** Of the shards that it owns, and of those that it knows reads of. Shards that are empty may be left out. */
  'owner-shards': { request: Record<string, never>; reply: { shards: readonly ShardContent[] } };
}

export type OwnerMethod = keyof OwnerMethods;
