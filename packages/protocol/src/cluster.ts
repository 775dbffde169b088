import type { Entry } from './entry.ts';
import type { ErrorShape } from './errors.ts';
import type { ListReply, ListRequest } from './list.ts';

/** What a node of a cluster does: own shards of the metadata, keep bytes, or both. */
export const roles = ['metadata', 'cache'] as const;
export type Role = (typeof roles)[number];

export interface NodeStatus {
  /** The same for the life of its state directory. */
  readonly id: string;
  /** Where the others reach it. */
  readonly address: string;
  readonly version: string;
  readonly roles: readonly Role[];
  /** When it joined last, ISO 8601; null: it is not there, and owned shards or was to be drained. */
  readonly joinedAt: string | null;
  readonly shards: number;
  /** It gets no shards, and those it has are moved to others. */
  readonly draining: boolean;
}

export interface NodesReply {
  /** Whom this was asked. */
  readonly self: string;
  /** Of the cluster's metadata. */
  readonly shards: number;
  readonly nodes: readonly NodeStatus[];
}

export interface ShardStatus {
  readonly shard: number;
  /** Null: it never had one. */
  readonly owner: string | null;
  /** One more with each owner that it has had. */
  readonly term: number;
  /** Its owner is in the cluster. */
  readonly isServed: boolean;
  /** Who is to have it; null: it stays. */
  readonly movingTo: string | null;
}

export interface ShardMoveRequest {
  readonly shards: readonly number[];
  /** The id of a node that is there. */
  readonly to: string;
}

/** A shard, and the node that is to have it. */
export interface PlannedMove {
  readonly shard: number;
  readonly from: string;
  readonly to: string;
}

/** What a rebalance would do now. */
export interface RebalancePlan {
  readonly moves: readonly PlannedMove[];
  /** Shards of the node that has most, over the mean of those that are to have some. */
  readonly maxOverMean: number;
  readonly maxOverMeanAfter: number;
}

export const rebalanceStates = ['running', 'paused', 'cancelled', 'done'] as const;
export type RebalanceState = (typeof rebalanceStates)[number];

export interface RebalanceStatus {
  readonly id: string;
  readonly state: RebalanceState;
  /** Why it was begun. */
  readonly reason: string;
  readonly startedAt: string;
  readonly endedAt: string | null;
  /** Moves under way at a time, at most. */
  readonly atOnce: number;
  readonly moves: number;
  readonly done: number;
  /** Overtaken: the shard went to another, or the node that was to have it is gone. */
  readonly skipped: number;
}

export const movesAtOnceMax = 1_024;
export const shardsMax = 1_024;

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
  | { readonly results: readonly OwnerResult[] }
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
  /** Null: from the beginning. */
  readonly after: CopyPlace | null;
}

/** A part of a directory's listing, in the order of its entries, all of one class. */
export interface ListingPart {
  /** Since the start of the LIST. */
  readonly ageSeconds: number;
  readonly kind: number;
  /** As the stores of nodes have them (`docs/formats.md`). */
  readonly blocks: readonly Uint8Array[];
  /** Null: it is whole. */
  readonly next: CopyPlace | null;
}

export type OwnerCopyReply = { readonly part: ListingPart } | { readonly moved: ShardOwner | null };

/** What a node answered from copies, since it told last. */
export interface OwnerReadsRequest {
  readonly from: string;
  readonly directories: readonly { readonly path: string; readonly reads: number }[];
}

/** Directories of a shard that is to move, of which the node that is to have it takes copies. */
export interface OwnerTakeRequest {
  readonly from: string;
  readonly shard: number;
  readonly paths: readonly string[];
}

/**
 * What is done for the load of a directory, the cheapest first: nothing; read replicas of its hottest entry; its
 * content published to all who ask for it; its names shared out to all owners.
 */
export const rungs = ['none', 'replicate', 'publish', 'split'] as const;
export type Rung = (typeof rungs)[number];

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

export interface HotDirectory extends DirectoryHeat {
  /** Of its home; null where its attachment is not known here any more. */
  readonly shard: number | null;
  readonly owner: string | null;
  readonly rung: Rung;
}

export interface DirsReply {
  /** The hottest first. */
  readonly directories: readonly HotDirectory[];
  /** Nodes that did not tell what they counted. */
  readonly missing: readonly string[];
}

/** What an operator may have done for a directory. */
export const chosenRungs = ['none', 'publish', 'split'] as const;

export interface DirectorySetRequest {
  readonly path: string;
  /** Null: what its load needs. */
  readonly rung: (typeof chosenRungs)[number] | null;
  /** Of a split: how many, a power of two; null: four a node. */
  readonly parts: number | null;
}

export interface DirectoryStatus extends HotDirectory {
  /** An operator chose the rung. */
  readonly isPinned: boolean;
  /** ISO 8601; null: nothing is done for its load. */
  readonly since: string | null;
  readonly reason: string | null;
  /** One: it is whole, at its home. */
  readonly parts: readonly { readonly shard: number; readonly owner: string | null }[];
  /** Nodes that did not tell what they counted. */
  readonly missing: readonly string[];
}

export const hotDirectoriesMax = 1_000;

/** What an operator asks of a cluster. */
export const clusterMethods = [
  'nodes',
  'shards',
  'shards-move',
  'rebalance-plan',
  'rebalance-run',
  'rebalance-status',
  'rebalance-pause',
  'rebalance-resume',
  'rebalance-cancel',
  'drain',
  'undrain',
  'dirs',
  'directory',
  'directory-set',
] as const;
export type ClusterMethod = (typeof clusterMethods)[number];

export type DirectoryMethod = 'dirs' | 'directory' | 'directory-set';

/** What nodes of a cluster ask each other. */
export type OwnerMethod = 'owner-lookup' | 'owner-list' | 'owner-copy' | 'owner-take' | 'owner-reads' | 'owner-heat';
