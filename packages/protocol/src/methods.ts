import type { ReadActivity, SecondsByCause } from './activity.ts';
import type { Attachment, Compression, Freshness, Policy, S3Settings } from './attachment.ts';
import type { ClusterMethod, ClusterMethods } from './cluster.ts';
import type { Entry } from './entry.ts';
import type { ErrorShape } from './errors.ts';
import type { ListReply, ListRequest } from './list.ts';
import type { OwnerMethod, OwnerMethods } from './owner.ts';
import type { Tier } from './tier.ts';
import type { SourceHedges, WhyReply } from './why.ts';

/**
 * What can be asked of a daemon: method → request and reply. Both roads, msgpack control frames over flow and messages
 * over ws, end in the same handlers. A request carries a deadline beside it; every wait on the other side ends by it.
 */
export interface Methods extends ClusterMethods, OwnerMethods {
  list: { request: ListRequest; reply: ListReply };
  stat: { request: { paths: readonly string[] }; reply: { results: readonly StatResult[] } };
  resolve: { request: ResolveRequest; reply: ResolveReply };

  attach: { request: AttachRequest; reply: Attachment };
  detach: { request: { path: string }; reply: { path: string } };
  attachments: { request: Record<string, never>; reply: { attachments: readonly Attachment[] } };

  dataset: { request: DatasetRequest; reply: DatasetReply };
  /** Those that are being made. */
  'dataset-making': { request: Record<string, never>; reply: { snapshots: readonly SnapshotProgress[] } };
  /** Of the versions of this node, a page in the order of their names. */
  'dataset-list': { request: DatasetListRequest; reply: DatasetListReply };
  'dataset-diff': { request: DatasetDiffRequest; reply: DatasetDiffReply };
  'dataset-free': { request: { version: string }; reply: { version: string } };
  'plan-open': { request: PlanRequest; reply: { plan: number } };
  'plan-progress': { request: { plan: number }; reply: PlanProgress };
  /** What a loop waited for since it told last. */
  'plan-report': { request: PlanReport; reply: Record<string, never> };
  'plan-close': { request: { plan: number }; reply: PlanProgress };
  /** Samples that will be asked for soon, in an order of somebody's own. What is missing is fetched, as room allows. */
  prefetch: { request: PrefetchRequest; reply: { accepted: number } };

  load: { request: LoadRequest; reply: { job: number } };
  /** Answers at once, or after `waitSeconds` at most when the job has not ended. */
  job: { request: { job: number; waitSeconds: number }; reply: JobStatus };
  /** Those that run and those that ended of late, by number; without the lists of their failures. */
  jobs: { request: Record<string, never>; reply: { jobs: readonly JobStatus[] } };
  /** Those after the first `skip`, at most `limit` (1,000); fewer are the last ones. */
  'job-failures': { request: JobFailuresRequest; reply: { failures: readonly ErrorShape[] } };
  /** What it has under way ends by itself. */
  'job-cancel': { request: { job: number }; reply: JobStatus };
  /** Reads back what is resident of files, and forgets what does not match its checksum: it is fetched again. */
  check: { request: { paths: readonly string[] }; reply: CheckReply };
  /** What of all that is stored of a subtree's files is not so at the source now. Changes nothing. */
  'check-source': { request: CheckSourceRequest; reply: CheckSourceReply };
  free: { request: { path: string }; reply: { records: number; bytes: number } };
  why: { request: { path: string }; reply: WhyReply };
  pin: { request: { path: string }; reply: Pin & { readonly cachedBytes: number } };
  unpin: { request: { path: string }; reply: { path: string } };
  pins: { request: Record<string, never>; reply: { pins: readonly Pin[] } };

  status: { request: Record<string, never>; reply: Status };
  activity: { request: Record<string, never>; reply: Activity };
  /** The reply is sent before the daemon stops. */
  shutdown: { request: Record<string, never>; reply: { pid: number } };
}

export type Method = keyof Methods;
/** What a node answers for itself, in a cluster or not. */
export type NodeMethod = Exclude<Method, ClusterMethod | OwnerMethod>;
export type Request<M extends Method> = Methods[M]['request'];
export type Reply<M extends Method> = Methods[M]['reply'];

/** A handler for each method of `M`; the signal aborts at the caller's deadline or when the caller is gone. */
export type Handlers<M extends Method = Method> = {
  readonly [K in M]: (request: Request<K>, context: { readonly signal: AbortSignal }) => Promise<Reply<K>>;
};

/** Whoever can be asked: a connection, or the handlers of the same process. */
export type Call<M extends Method = Method> = <K extends M>(
  method: K,
  request: Request<K>,
  options?: { readonly signal?: AbortSignal; readonly timeoutSeconds?: number },
) => Promise<Reply<K>>;

/** A path's entry, with how much of it is in segments here; or why there is none. */
export type StatResult =
  | (Entry & {
      readonly cachedBytes: number;
      /** The pinned path that it is at or below. */ readonly pinnedBy: string | null;
    })
  | { readonly error: ErrorShape };

export interface ResolveRequest {
  readonly paths: readonly string[];
  /** What is known is not believed: a read by it was answered with `source-changed`. */
  readonly atSource: boolean;
}

/** Paths as the data path needs them. A directory or an absent path is a failure of its index. */
export interface ResolveReply {
  /** Object list (docs/formats.md) of those found, in the order asked. */
  readonly objects: Uint8Array;
  readonly failures: readonly { readonly index: number; readonly error: ErrorShape }[];
}

export interface AttachRequest {
  readonly source: string;
  /** Null: `/` + the last name of the source. */
  readonly path: string | null;
  readonly freshness: Freshness;
  readonly policy: Policy;
  readonly compression: Compression;
  readonly readOnly: boolean;
  readonly s3: S3Settings | null;
}

export interface DatasetRequest {
  readonly path: string;
  /** 64 hex digits of a dataset version made before; null makes one of what is there now. */
  readonly version: string | null;
  /** Glob over the path below `path`; null takes every file. */
  readonly include: string | null;
}

export interface DatasetReply {
  readonly version: string;
  readonly count: number;
  readonly bytes: number;
}

/** How far a dataset version is that is being made. */
export interface SnapshotProgress {
  readonly path: string;
  readonly include: string | null;
  /** What is stored of the path is listed first, where it is not fresh. */
  readonly stage: 'listing' | 'writing';
  /** Files listed, or gone through to be written. */
  readonly seen: number;
  /** Files to be gone through; null where that is not known. */
  readonly total: number | null;
  /** Of those gone through, the ones that are in it: all, without `include`. */
  readonly files: number;
  readonly bytes: number;
  /** Since it began. */
  readonly seconds: number;
}

export interface DatasetListRequest {
  /** The last version of the page before, or null to begin. */
  readonly after: string | null;
  /** At most 1,000. */
  readonly limit: number;
}

export interface DatasetListReply {
  readonly datasets: readonly DatasetDescription[];
  /** Files among them that are there and cannot be used. */
  readonly failures: readonly ErrorShape[];
  /** `after` of the next page; null after the last. */
  readonly next: string | null;
}

export interface DatasetDescription extends DatasetReply {
  /** Whose subtree it is of; the last one where several have had the same content. */
  readonly path: string;
  /** When it was asked for last as what is there now. */
  readonly madeAt: string;
}

export interface DatasetDiffRequest {
  readonly before: string;
  readonly after: string;
  /** `next` of the page before, or null to begin. */
  readonly place: DatasetPlace | null;
  /** At most 5,000. */
  readonly limit: number;
}

/** How many files of either version are compared already. */
export interface DatasetPlace {
  readonly before: number;
  readonly after: number;
}

export interface DatasetDiffReply {
  /** In path order; there may be none although more follow. */
  readonly changes: readonly DatasetChange[];
  readonly next: DatasetPlace | null;
}

/** A file that is not the same in two dataset versions. */
export interface DatasetChange {
  /** `changed`: of another size or tag. */
  readonly kind: 'added' | 'removed' | 'changed';
  /** Below the path that either version is of. */
  readonly path: string;
  /** Bytes; null where the file is not there. */
  readonly before: number | null;
  readonly after: number | null;
}

/** What a loader will read, for the daemon to fetch ahead of it. */
export interface PlanRequest {
  readonly version: string;
  readonly seed: number;
  readonly epoch: number;
  readonly shuffle: boolean;
  readonly dropLast: boolean;
  /** Samples delivered to the whole world before the plan's first step. */
  readonly position: number;
  readonly globalBatch: number;
  readonly rank: number;
  readonly world: number;
}

export interface PrefetchRequest {
  readonly version: string;
  /** Their numbers, 8 bytes each, little endian; 65,536 at most. As many as may be are accepted, from the first on. */
  readonly samples: Uint8Array;
}

/** What was fetched ahead of a plan's loader, which finds it in segments. */
export interface PlanProgress {
  readonly fetchedSamples: number;
  readonly fetchedBytes: number;
  /** In which at least one of its fetches was under way. */
  readonly fetchSeconds: number;
}

export interface PlanReport {
  readonly plan: number;
  readonly waitSeconds: SecondsByCause;
}

/** What is never evicted: all files at or below a path, as it was listed when it was pinned or last loaded. */
export interface Pin {
  readonly path: string;
  readonly files: number;
  readonly bytes: number;
  readonly pinnedAt: string;
}

export interface CheckReply {
  /** Resident, and whole. A file of more than 4 MiB is several records. */
  readonly records: number;
  readonly bytes: number;
  /** Files of which a record was not what it should be. */
  readonly damaged: readonly string[];
}

export interface CheckSourceRequest {
  readonly path: string;
  /** Of the reply before, or null to begin. */
  readonly cursor: string | null;
  /** Of files, at most 100,000; a page may have a few more, and has fewer where it has 10,000 differences. */
  readonly limit: number;
}

export interface CheckSourceReply {
  readonly differences: readonly SourceDifference[];
  /** Files that are stored or at the source, or both; without those of the next field. */
  readonly files: number;
  /** At the source, in directories that are a `new` or `unlisted` one in this page or one before. */
  readonly filesNotCompared: number;
  /** Of `files`, those without an etag: told apart by size and time alone. */
  readonly filesWeak: number;
  /** Null after the last page. */
  readonly cursor: string | null;
}

/** Where the stored and the source are not the same. */
export interface SourceDifference {
  /**
   * `changed`: of another size or tag; `missing`: gone at the source; `new`: a file that is not stored, or a directory
   * that the listing of the one above it did not have; `unlisted`: a directory of which nothing is stored, so that
   * there is nothing to compare: no difference.
   */
  readonly kind: 'changed' | 'missing' | 'new' | 'unlisted';
  readonly type: Entry['type'];
  readonly path: string;
  /** As stored, and as at the source now; null where it is not there, or a directory. */
  readonly storedBytes: number | null;
  readonly sourceBytes: number | null;
}

export interface LoadRequest {
  readonly path: string;
  /** What is resident already is read back and checked too. */
  readonly verify: boolean;
  readonly limits: LoadLimits;
}

/** Of one load; null: none. */
export interface LoadLimits {
  /** Of what comes from the source, at least 1. */
  readonly bytesPerSecond: number | null;
  /** Requests to the source under way, 1 to 1,024. */
  readonly getsAtOnce: number | null;
}

export interface JobStatus {
  readonly job: number;
  readonly path: string;
  readonly verify: boolean;
  readonly limits: LoadLimits;
  /**
   * `done` means every byte is resident and checked; `partly` that the failures below are not; `failed` that it could
   * not go on, `error` says why.
   */
  readonly state: 'running' | 'done' | 'partly' | 'cancelled' | 'failed';
  /** As listed. What is done is resident; it never goes back while the job runs, and is exact when it has ended. */
  readonly files: number;
  readonly filesDone: number;
  readonly bytes: number;
  readonly bytesDone: number;
  /** Of late; of one that has ended, from start to end. */
  readonly bytesPerSecond: number;
  /** At that rate; null where it is not known. */
  readonly secondsLeft: number | null;
  readonly startedAt: string;
  readonly endedAt: string | null;
  /** Since it was started, restarts of the daemon included. */
  readonly seconds: number;
  readonly error: ErrorShape | null;
  /** The first 1,000; `failureCount` has them all. */
  readonly failures: readonly ErrorShape[];
  readonly failureCount: number;
}

export interface JobFailuresRequest {
  readonly job: number;
  readonly skip: number;
  readonly limit: number;
}

/** What goes on at a daemon. */
export interface Activity extends ReadActivity {
  readonly status: Status;
  readonly jobs: readonly JobStatus[];
}

export interface Status {
  readonly version: string;
  readonly pid: number;
  readonly uptimeSeconds: number;
  readonly attachments: readonly AttachmentStatus[];
  readonly pins: readonly Pin[];
  readonly devices: readonly DeviceStatus[];
  /** Who keeps room from coming back; those that hold most first. */
  readonly holders: readonly HolderStatus[];
  readonly cache: CacheStatus;
  /** Of all loops that told, since the daemon started. */
  readonly waitSeconds: SecondsByCause;
  readonly rssBytes: number;
  readonly budgetBytes: number;
}

export interface AttachmentStatus {
  readonly path: string;
  readonly source: string;
  readonly policy: Policy;
  readonly compression: Compression;
  /** As they are stored. */
  readonly cachedBytes: number;
  /** What these are when they are read; the same where nothing is compressed. */
  readonly rawBytes: number;
  /** What it may take of the devices while not all that is in use fits; null: nobody is limited. */
  readonly shareBytes: number | null;
  /** Some file of it has no etag, so versions are told apart by size and time alone. */
  readonly identityWeak: boolean;
  /** Since it was attached, or the daemon started. */
  readonly hedges: SourceHedges;
  /** Why its source cannot be reached now, so that only what is cached can be read; null where it can. */
  readonly error: ErrorShape | null;
}

export interface DeviceStatus {
  readonly path: string;
  readonly tier: Tier;
  readonly sizeBytes: number;
  readonly usedBytes: number;
  /** Of `usedBytes`: of segments that are unlinked and still mapped by somebody. */
  readonly heldBytes: number;
  /** `full`: nothing more is admitted; `failed`: it gave I/O errors, or could not be used at the start. */
  readonly state: 'ok' | 'full' | 'failed';
  /** Why the state is not `ok`; empty where it is. */
  readonly reason: string;
}

/** A process that has segments mapped which are unlinked: their bytes come back when it lets go. */
export interface HolderStatus {
  /** Null: it could not be found, as one of another user. */
  readonly pid: number | null;
  /** Its command line, shortened. */
  readonly program: string;
  /** By a signal or a debugger: it lets go when it goes on. */
  readonly isStopped: boolean;
  readonly segments: number;
  readonly bytes: number;
  /** Since the first of them was unlinked. */
  readonly seconds: number;
}

/** Of the GETs, those that were sent a second time because the first was slow. */
export interface HedgeStatus {
  readonly sent: number;
  /** How often the second was the faster one. */
  readonly won: number;
  /** Asked for by them. */
  readonly bytes: number;
  /** Slow GETs that were not sent twice when they were due: the cap, or a busy source. */
  readonly held: number;
}

/** What was copied out of segments since the daemon started, so that the rest of them came free. */
export interface CopyStatus {
  readonly segments: number;
  /** Of live records that were written once more. */
  readonly bytes: number;
  readonly freedBytes: number;
}

export interface CacheStatus {
  readonly state: 'on' | 'full' | 'off';
  /**
   * Empty when the state is `on`, all devices work, and what earlier runs left has been read; else a sentence with the
   * remedy.
   */
  readonly why: string;
  readonly records: number;
  /** As they are stored. */
  readonly bytes: number;
  /** What these are when they are read. */
  readonly rawBytes: number;
  /** Samples that clients read since the daemon started, and the share of them that needed no GET. */
  readonly samples: number;
  readonly hitRatio: number;
  /** GETs that brought bytes, and how many. */
  readonly gets: number;
  readonly sourceBytes: number;
  /** Given up since the daemon started, to make room. */
  readonly evictedBytes: number;
  readonly copied: CopyStatus;
  /** Moved to the slow tier since then, and back from it. */
  readonly demotedBytes: number;
  readonly promotedBytes: number;
  /** GETs that were sent again, and fetches that failed after all. */
  readonly retries: number;
  readonly sourceErrors: number;
  readonly hedges: HedgeStatus;
  /** Stored records that did not match their checksum when they were read; they are fetched again. */
  readonly damagedRecords: number;
}
