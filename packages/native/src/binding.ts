import type { NativeObjectFacts, NativeSourceTally } from './binding-facts.ts';
import type { NativeJobAhead, NativeKeepTerms, NativeSegmentWorth } from './binding-forecast.ts';
import type {
  NativeEntryDealer,
  NativeEntryMerge,
  NativeBlockPacker,
  NativeListPage,
  NativePackedEntries,
  NativeTakenEntry,
} from './binding-listing.ts';
import type { NativeNameCache, NativeNameTable } from './binding-names.ts';
import type { NativeOrder, NativeSchedule, NativeScheduleConfig } from './binding-order.ts';

/**
 * What the addon exports, kept by hand beside `native/node/src`. Nothing outside this package sees it: the classes of
 * the other files wrap it. Numbers are exact integers up to 2^53; a thrown error's message is `CODE: message`.
 */
export interface Binding {
  openEngine(config: NativeEngineConfig): Promise<NativeEngine>;
  connectFlow(config: NativeClientConfig): Promise<NativeClient>;
  createDataset(config: NativeDatasetConfig): NativeDatasetWriter;
  openDataset(path: string): NativeDataset;
  describeDataset(path: string): Promise<NativeDatasetHeader>;
  /** Of an attachment's canonical text, as segments carry it: 32 hex digits. */
  identityHash(canonical: string): string;
  /** Why this machine does not allow it; null where it does. */
  ioUringFault(): string | null;
  directFault(directory: string): string | null;
  measureCopy(threads: number, seconds: number): Promise<NativeRate>;
  measureDevice(directory: string, trial: NativeDeviceTrial): Promise<NativeDeviceRates>;
  readListPage(chunks: readonly Uint8Array[], prefix: Uint8Array): NativeListPage | null;
  readonly NativeBatch: new () => NativeBatch;
  readonly NativeNameCache: new (bytesMax: number) => NativeNameCache;
  readonly NativeNameTable: new (attachment: number, prefix: Uint8Array, names: number) => NativeNameTable;
  readonly NativeEntryDealer: new (present: Uint8Array) => NativeEntryDealer;
  readonly NativeEntryMerge: new (after: NativeTakenEntry | null) => NativeEntryMerge;
  readonly NativeBlockPacker: new (parts: number, index: number) => NativeBlockPacker;
  readonly NativePackedEntries: new (path: string) => NativePackedEntries;
  /** False where this Node.js has no way to do it. */
  limitHeap(bytes: number, reserveBytes: number): boolean;
  heapWasNear(): boolean;
  readonly NativeOrder: new (count: number, seed: number, epoch: number) => NativeOrder;
  readonly NativeCancel: new () => NativeCancel;
  readonly NativePace: new (bytesPerSecond: number | null, recordsAtOnce: number | null) => NativePace;
  readonly NativeSchedule: new (config: NativeScheduleConfig) => NativeSchedule;
  /** Of the addon's build; compared with the package's own when it is loaded. */
  addonVersion(): string;
  /** Panics on purpose, so that a test can see a panic become an error. */
  panicForTest(): void;
}

export interface NativeDeviceConfig {
  readonly path: string;
  /** `fast` or `slow`; one is fast at least. */
  readonly tier: string;
  readonly sizeBytes: number;
  readonly reserveBytes: number;
}

export interface NativeEngineConfig {
  readonly devices: readonly NativeDeviceConfig[];
  readonly extentDelayMs: number;
  readonly idleSealMs: number;
  readonly budgetBytes: number;
  readonly sourceTimeoutMs: number;
  readonly hedge: boolean;
  readonly threads: number;
}

export interface NativeServeConfig {
  readonly socket: string;
  readonly mode: number;
  readonly datasets: string;
}

export interface NativeSource {
  readonly kind: string;
  readonly root?: string;
  readonly endpoint?: string;
  readonly region?: string;
  readonly bucket?: string;
  readonly pathStyle?: boolean;
  readonly anonymous?: boolean;
  readonly requesterPays?: boolean;
  readonly authorityFiles?: readonly string[];
  readonly code?: number;
  readonly why?: string;
}

/** On which terms records of an attachment are kept. */
export interface NativeTerms {
  readonly admit: boolean;
  /** `off`, `auto` or `lz4`. */
  readonly compression: string;
}

export interface NativeCredentials {
  readonly accessKey: string;
  readonly secretKey: string;
  readonly sessionToken?: string;
  readonly expiresAtMs?: number;
}

export interface NativeEngine {
  serve(config: NativeServeConfig, onEvent: (event: NativeEvent) => void): Promise<void>;
  reply(connection: number, call: number, body: Uint8Array): void;
  replyError(connection: number, call: number, code: number, message: string): void;
  attach(attachment: number, identity: string, source: NativeSource, terms: NativeTerms): void;
  detach(attachment: number): void;
  setAdmission(attachment: number, admit: boolean): void;
  setCredentials(attachment: number, credentials: NativeCredentials | null): void;
  devices(): NativeDeviceStatus[];
  segments(): NativeSegmentStatus[];
  lingering(): NativeLingering[];
  tenants(): NativeTenantStatus[];
  setQuota(identity: string, bytes: number | null): void;
  setShort(identity: string, isShort: boolean): void;
  room(identity: string): number;
  segmentBytes(): number;
  counters(): NativeCounters;
  /** Of answers that no client has taken yet. */
  unsentBytes(): number;
  loaded(): Promise<string[]>;
  residency(objects: Uint8Array): Float64Array;
  facts(objects: Uint8Array): Promise<NativeObjectFacts>;
  sourceTally(attachment: number): NativeSourceTally;
  evict(segments: Uint32Array): Promise<NativeFreed>;
  copyForward(segment: NativeSegmentName, devices: readonly number[] | null, timeoutMs: number): Promise<NativeCopied>;
  packedBytes(segment: NativeSegmentName): Promise<number | null>;
  reserveForCopies(bytes: number): void;
  forget(objects: Uint8Array): Promise<NativeFreed>;
  forgetReplaced(objects: Uint8Array, versions: readonly string[]): Promise<NativeForgotten>;
  pin(objects: Uint8Array): Promise<void>;
  unpinAll(): void;
  verify(objects: Uint8Array): Promise<NativeVerified>;
  fetchObjects(objects: Uint8Array, urgency: number, pace: NativePace): NativeFetch;
  fetchSamples(version: string, samples: Float64Array, plan: number): NativeFetch;
  judgeSamples(version: string, samples: Float64Array, terms: NativeKeepTerms): Promise<void>;
  segmentWorths(version: string, jobs: readonly NativeJobAhead[], turn: number): Promise<NativeSegmentWorth[]>;
  wholeAt(version: string): Promise<number | null>;
  removals(): number;
  flush(timeoutMs: number): Promise<void>;
  close(): Promise<string[]>;
}

export interface NativeEvent {
  readonly kind: string;
  readonly connection: number;
  readonly call?: number;
  readonly body?: Uint8Array;
  readonly timeoutMs?: number;
  readonly pid?: number;
  readonly receipts?: readonly NativeReceipt[];
}

export interface NativeReceipt {
  readonly connection: number;
  readonly plan: number;
  readonly position: number;
  readonly samples: number;
  readonly hitSamples: number;
  readonly bytes: number;
  readonly segments: Uint32Array;
}

export interface NativeDeviceStatus {
  readonly path: string;
  readonly tier: string;
  readonly sizeBytes: number;
  readonly usedBytes: number;
  /** For what is not taken in yet. */
  readonly roomBytes: number;
  /** The same for copies, which have what is reserved for them as well. */
  readonly copyRoomBytes: number;
  readonly state: string;
  /** Why the state is not ok; empty where it is. */
  readonly reason: string;
}

export interface NativeSegmentStatus {
  readonly number: number;
  readonly generation: number;
  readonly identity: Uint8Array;
  readonly device: number;
  readonly bytes: number;
  readonly liveBytes: number;
  /** What those are when they are unpacked, as far as one knows. */
  readonly rawBytes: number;
  readonly records: number;
  /** Of `liveBytes`. */
  readonly pinnedBytes: number;
  readonly sealed: boolean;
  readonly idleSeconds: number;
  /** Batches of this run that some of it was read for. */
  readonly reads: number;
}

/** A segment that is unlinked, whose bytes somebody still has mapped or open. */
export interface NativeLingering {
  /** As in the name that its file had. */
  readonly segment: string;
  /** Of the device, among all. */
  readonly device: number;
  readonly bytes: number;
  /** Since it was unlinked. */
  readonly seconds: number;
}

/** Of one identity; the counts are of this run of the engine. */
export interface NativeTenantStatus {
  /** As 32 hex digits. */
  readonly identity: string;
  /** On fast devices. */
  readonly storedBytes: number;
  readonly slowBytes: number;
  readonly queuedBytes: number;
  /** Of what it has on fast devices; absent: no quota. */
  readonly quotaBytes?: number;
  /** Not kept, for want of room or quota. */
  readonly declinedBytes: number;
  /** Taken by readers, from segments or not. */
  readonly readBytes: number;
}

export interface NativeCounters {
  readonly records: number;
  readonly recordBytes: number;
  readonly rawBytes: number;
  readonly tableBytes: number;
  readonly tableFull: boolean;
  readonly loading: boolean;
  readonly damagedRecords: number;
  readonly gets: number;
  readonly sourceBytes: number;
  readonly retries: number;
  readonly hedges: number;
  readonly hedgesWon: number;
  readonly hedgedBytes: number;
  readonly hedgesHeld: number;
  readonly errors: number;
  readonly inFlight: number;
  readonly queued: number;
  readonly declined: number;
  readonly memoryBytes: number;
  readonly limit: number;
  readonly connections: number;
  readonly servedRecords: number;
  readonly servedBytes: number;
}

export interface NativeRate {
  readonly bytes: number;
  readonly requests: number;
  readonly seconds: number;
}

/** A file of so many bytes, read in blocks of so many for about so long. */
export interface NativeDeviceTrial {
  readonly fileBytes: number;
  readonly blockBytes: number;
  readonly seconds: number;
}

export interface NativeDeviceRates {
  readonly write: NativeRate;
  readonly read: NativeRate;
  /** By what blocks were read. */
  readonly engine: 'io_uring' | 'threads';
}

export interface NativeFreed {
  readonly records: number;
  readonly bytes: number;
}

export interface NativeSegmentName {
  readonly number: number;
  readonly generation: number;
}

export interface NativeCopied {
  /** Found at their new places. */
  readonly records: number;
  readonly bytes: number;
  /** Found where they were, for want of room. */
  readonly left: number;
  /** Their bytes did not match their checksum: forgotten. */
  readonly damaged: number;
  /** The old segment is unlinked. */
  readonly retired: boolean;
}

export interface NativeForgotten extends NativeFreed {
  /** Records that stay. */
  readonly held: number;
}

export interface NativeVerified {
  readonly records: number;
  readonly bytes: number;
  readonly missing: number;
  readonly corrupt: readonly number[];
}

/** Nothing can be asked of it: fetches share it. */
export type NativePace = object;

export interface NativeFetch {
  progress(): NativeFetchProgress;
  finished(): Promise<NativeFetchProgress>;
  failures(): readonly NativeFailure[];
  cancel(): void;
}

export interface NativeFetchProgress {
  readonly objects: number;
  readonly objectsDone: number;
  readonly bytes: number;
  readonly bytesDone: number;
  readonly fetchedObjects: number;
  readonly fetchedBytes: number;
  readonly failureCount: number;
  readonly cancelled: boolean;
}

export interface NativeFailure {
  readonly index: number;
  readonly code: number;
  readonly message: string;
}

export interface NativeClientConfig {
  readonly socket: string;
  readonly timeoutMs: number;
  readonly ringBytes: number;
  readonly canMap: boolean;
}

export interface NativeClient {
  control(body: Uint8Array, timeoutMs: number, cancel: NativeCancel): Promise<Uint8Array>;
  dataset(version: string, timeoutMs: number): Promise<NativeDataset>;
  readObjects(objects: Uint8Array, request: NativeReadRequest): Promise<NativeBatch>;
  readSamples(dataset: NativeDataset, samples: Float64Array, request: NativeReadRequest): Promise<NativeBatch>;
  /** The first of these batches, and as many behind it as are resident and quick. */
  readRun(dataset: NativeDataset, batches: Float64Array[], request: NativeRunRequest): Promise<NativeBatch[]>;
  /** Samples, bytes and nanoseconds of a gather out of memory, and the same of reads past the page cache. */
  replay(dataset: NativeDataset, samples: Float64Array, request: NativeReadRequest): Promise<number[]>;
  known(dataset: NativeDataset): NativeKnown;
  state(): NativeClientState;
  close(): void;
}

export interface NativeKnown {
  /**
   * Whether the batch, which holds nothing, now holds these samples. `row` has plan and position, and gets bytes, and
   * nanoseconds of device and gather.
   */
  read(samples: Float64Array, batch: NativeBatch, row: Float64Array): boolean;
}

export interface NativeReadRequest {
  readonly timeoutMs: number;
  readonly cancel: NativeCancel;
  readonly offsets?: Float64Array;
  readonly lengths?: Float64Array;
  readonly plan?: number;
  readonly position?: number;
}

export interface NativeRunRequest {
  readonly timeoutMs: number;
  readonly cancel: NativeCancel;
  readonly plan: number;
  readonly positions: readonly number[];
}

/** By which a read is given up. */
export interface NativeCancel {
  cancel(): void;
}

export interface NativeClientState {
  readonly pid: number;
  readonly incarnation: number;
  readonly mapping: boolean;
  readonly segments: number;
  readonly slotsBytes: number;
  readonly shortOfSlots: boolean;
}

export interface NativeBatch {
  /** The slot; one external ArrayBuffer a batch, made by the first call. */
  buffer(): ArrayBuffer;
  /** Start and length of each sample in the buffer, alternating. */
  layout(): Float64Array;
  /** Per sample: 0 failed, 1 from a segment here, 2 fetched for it, 3 fetched for somebody else. */
  origins(): Uint8Array;
  failures(): readonly NativeFailure[];
  /**
   * Samples: all, failed, without a GET of their own, fetched for somebody else, from the device; bytes: all, fetched
   * for this read, fetched for somebody else, from the device; nanoseconds of source, peer, device, gather, queue.
   */
  totals(): readonly number[];
  /** Detaches the buffer and gives the slot back; false when that was done before. */
  release(): boolean;
}

export interface NativeDatasetConfig {
  readonly path: string;
  readonly attachmentPath: string;
  readonly identity: string;
}

export interface NativeDatasetWriter {
  push(objects: Uint8Array, paths: Uint8Array): void;
  finish(): Promise<NativeDatasetSummary>;
  abandon(): void;
}

export interface NativeDatasetSummary {
  readonly version: string;
  readonly count: number;
  readonly bytes: number;
}

export interface NativeDatasetHeader {
  readonly version: string;
  readonly attachmentPath: string;
  readonly count: number;
  readonly bytes: number;
}

export interface NativeDatasetDiff {
  readonly changes: readonly {
    readonly kind: 'added' | 'removed' | 'changed';
    readonly path: string;
    readonly before: number;
    readonly after: number;
  }[];
  readonly next?: { readonly before: number; readonly after: number };
}

export interface NativeDataset {
  diff(
    after: NativeDataset,
    place: { readonly before: number; readonly after: number },
    limit: number,
  ): Promise<NativeDatasetDiff>;
  readonly version: string;
  readonly length: number;
  readonly bytes: number;
  readonly identity: string;
  readonly attachmentPath: string;
  path(index: number): string;
  size(index: number): number;
}
