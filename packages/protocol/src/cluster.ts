import type { ErrorShape } from './errors.ts';
import type { DirectoryHeat } from './owner.ts';

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
  /** ISO 8601: it is not there and said that it comes back, so its shards wait until then; null: they do not. */
  readonly awaitedUntil: string | null;
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
export interface RebalancePlan extends Omit<PlannedSpread, 'moved'> {
  readonly moves: readonly PlannedMove[];
  /** By what is listed of the shards and asked of them, as far as their owners told. */
  readonly entries: PlannedSpread;
  readonly bytes: PlannedSpread;
  readonly readsPerS: PlannedSpread;
  /** Nodes that did not tell; their shards count as empty. */
  readonly missing: readonly string[];
}

/** How evenly something is spread over the nodes that are to have shards. */
export interface PlannedSpread {
  /** What the node with most has, over the mean; 1 for nothing. */
  readonly maxOverMean: number;
  readonly maxOverMeanAfter: number;
  /** What goes to another node. */
  readonly moved: number;
}

/** How a rebalance is to go. */
export interface RebalancePace {
  /** Moves under way at a time, at most. */
  readonly atOnce: number;
  /** Listings that move along, of each node that gives shards away, about; null: no limit. */
  readonly bytesPerSecond: number | null;
}

export const rebalanceStates = ['running', 'paused', 'cancelled', 'done'] as const;
export type RebalanceState = (typeof rebalanceStates)[number];

export interface RebalanceStatus extends RebalancePace {
  readonly id: string;
  readonly state: RebalanceState;
  /** Why it was begun. */
  readonly reason: string;
  readonly startedAt: string;
  readonly endedAt: string | null;
  readonly moves: number;
  readonly done: number;
  /** Overtaken: the shard went to another, or the node that was to have it is gone. */
  readonly skipped: number;
}

export const movesAtOnceMax = 1_024;
export const shardsMax = 1_024;

/**
 * What is done for the load of a directory, the cheapest first: nothing; read replicas of its hottest entry; its
 * content published to all who ask for it; its names shared out to all owners.
 */
export const rungs = ['none', 'replicate', 'publish', 'split'] as const;
export type Rung = (typeof rungs)[number];

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

/** A record of the coordination store that cannot be derived from anything else. */
export interface MapRecord {
  readonly key: string;
  /** As it is kept: JSON. */
  readonly value: string;
}

export interface MapReply {
  /** ISO 8601. */
  readonly takenAt: string;
  /** In the order of their keys. */
  readonly records: readonly MapRecord[];
  /** Keys of those that no version can read. */
  readonly damaged: readonly string[];
}

export interface MapRestoreRequest {
  readonly records: readonly MapRecord[];
  /** Nothing is changed. */
  readonly isDryRun: boolean;
}

export interface MapRestoreReply {
  /** Keys of those that were missing or damaged, and are put back. */
  readonly restored: readonly string[];
  /** Keys of those that are there with another value, and stay so. */
  readonly changed: readonly string[];
  /** Those that cannot be put back, and why. */
  readonly refused: readonly ErrorShape[];
}

export const mapRecordsMax = 100_000;

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
  'map',
  'map-restore',
] as const;
export type ClusterMethod = (typeof clusterMethods)[number];

export type MapMethod = 'map' | 'map-restore';
export type DirectoryMethod = 'dirs' | 'directory' | 'directory-set';

/** Its methods, with what each is asked and answers. */
export interface ClusterMethods {
  nodes: { request: Record<string, never>; reply: NodesReply };
  shards: { request: Record<string, never>; reply: { shards: readonly ShardStatus[] } };
  /** Answers when it is asked for; `shards` shows what is still to be done. To its owner: it stays, after all. */
  'shards-move': { request: ShardMoveRequest; reply: { asked: number } };
  'rebalance-plan': { request: Record<string, never>; reply: RebalancePlan };
  /** One at a time; what was planned is what is moved, by whichever nodes there are then. */
  'rebalance-run': { request: RebalancePace; reply: RebalanceStatus };
  /** The last one; null: there was none. */
  'rebalance-status': { request: Record<string, never>; reply: { rebalance: RebalanceStatus | null } };
  'rebalance-pause': { request: Record<string, never>; reply: RebalanceStatus };
  'rebalance-resume': { request: Record<string, never>; reply: RebalanceStatus };
  /** What is under way ends by itself; nothing is moved back. */
  'rebalance-cancel': { request: Record<string, never>; reply: RebalanceStatus };
  /** Moves all of a node's shards to others, and gives it none until `undrain`. */
  drain: { request: { node: string } & RebalancePace; reply: RebalanceStatus };
  undrain: { request: { node: string }; reply: { node: string } };
  /** Directories that are read most of late, over all nodes. */
  dirs: { request: { limit: number }; reply: DirsReply };
  /** One of them, and what is done for its load. */
  directory: { request: { path: string }; reply: DirectoryStatus };
  'directory-set': { request: DirectorySetRequest; reply: DirectoryStatus };
  /** Who owns what, attachments, and what an operator has chosen. */
  map: { request: Record<string, never>; reply: MapReply };
  'map-restore': { request: MapRestoreRequest; reply: MapRestoreReply };
}
