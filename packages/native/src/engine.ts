import { errorTable, MillpoolError } from '@millpool/protocol';
import type { Compression, SourceAddress, SourceCredentials, Tier } from '@millpool/protocol';

import type {
  NativeCopied,
  NativeCounters,
  NativeDeviceConfig,
  NativeDeviceStatus,
  NativeEngine,
  NativeEvent,
  NativeForgotten,
  NativeFreed,
  NativeLingering,
  NativeReceipt,
  NativeSegmentName,
  NativeSegmentStatus,
  NativeSource,
  NativeTenantStatus,
  NativeVerified,
} from './binding.ts';
import type { NativeObjectFacts, NativeRecordFacts, NativeRecordPlace, NativeSourceTally } from './binding-facts.ts';
import type { NativeJobAhead, NativeKeepTerms, NativeSegmentWorth } from './binding-forecast.ts';
import { Fetch } from './fetch.ts';
import { binding } from './load.ts';
import { called, nativeError, remedyFor, settled } from './native-error.ts';
import { Pace } from './pace.ts';

export type SegmentName = NativeSegmentName;

export interface DeviceConfig extends NativeDeviceConfig {
  readonly tier: Tier;
}

export type SegmentStatus = NativeSegmentStatus;
export type TenantStatus = NativeTenantStatus;
export type EngineCounters = NativeCounters;
export type Copied = NativeCopied;
export type Forgotten = NativeForgotten;
export type Freed = NativeFreed;
export type JobAhead = NativeJobAhead;
export type KeepTerms = NativeKeepTerms;
export type Lingering = NativeLingering;
export type SegmentWorth = NativeSegmentWorth;
/** `corrupt` holds indices of the objects, whose bad records were forgotten; `missing` counts records not resident. */
export type Verified = NativeVerified;
export type Receipt = NativeReceipt;

export type RecordPlace = NativeRecordPlace;
export type SourceTally = NativeSourceTally;

/** What became last of a record that is not resident. */
export type FateKind =
  | 'no-room'
  | 'table-full'
  | 'over-share'
  | 'read-later'
  | 'not-admitted'
  | 'young'
  | 'failed'
  | 'freed'
  | 'evicted'
  | 'damaged';

export interface RecordFacts extends NativeRecordFacts {
  readonly state: 'resident' | 'queued' | 'fetching' | 'fetched' | 'absent';
  readonly fate?: { readonly kind: FateKind; readonly code?: number; readonly atSeconds: number };
}

export interface ObjectFacts extends NativeObjectFacts {
  readonly records: readonly RecordFacts[];
}

export interface DeviceStatus extends NativeDeviceStatus {
  readonly tier: Tier;
  readonly state: 'ok' | 'full' | 'failed';
}

export interface EngineConfig {
  readonly devices: readonly DeviceConfig[];
  /** How long records may wait for others before their extent is written. */
  readonly extentDelayMs: number;
  /** A segment that nothing was appended to for so long is sealed. */
  readonly idleSealMs: number;
  /** Memory for bytes between source and segment. */
  readonly budgetBytes: number;
  /** One request to a source, with all that is tried again. */
  readonly sourceTimeoutMs: number;
  /** A slow GET that somebody waits for may be sent a second time. */
  readonly hedge: boolean;
  /** Threads for sockets and fetching. */
  readonly threads: number;
}

export interface ServeConfig {
  /** Path of the Unix socket. A dead file there is replaced; a live daemon there is the error `exists`. */
  readonly socket: string;
  /** Permission bits of the socket file, such as 0o660. */
  readonly mode: number;
  /** Folder of `<version>.dataset` files. */
  readonly datasets: string;
  readonly handlers: EngineHandlers;
}

/** What the engine asks of TypeScript. */
export interface EngineHandlers {
  /**
   * Answers one control message. The signal aborts at the caller's time-out, when the caller gave up, and when its
   * connection closes. What it throws is sent as an error of the same code; path and remedy travel only in a body.
   */
  control(body: Uint8Array, caller: Caller): Promise<Uint8Array>;
  /** What clients read, gathered over some 20 ms: one row a connection and plan. */
  receipts(receipts: readonly Receipt[]): void;
  /** A client is gone. */
  closed(connection: number): void;
}

export interface Caller {
  readonly connection: number;
  /** The process at the other end, as the kernel says. */
  readonly pid: number;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** Where an attachment's bytes come from. */
export type SourceSettings =
  | SourceAddress
  /** It cannot be opened now: what no segment has fails with this. */
  | { readonly kind: 'away'; readonly error: MillpoolError };

export interface AttachmentSettings {
  /** Canonical text: `s3\0ENDPOINT\0BUCKET` or `local\0DEVICE\0REAL ROOT`. */
  readonly identity: string;
  readonly source: SourceSettings;
  /** False: bytes are served, not kept. */
  readonly admit: boolean;
  /** How what is kept from now on is stored. */
  readonly compression: Compression;
}

/** Who waits: lower comes first. */
export const urgencies = { reader: 0, plan: 1, load: 2 } as const;
export type Urgency = keyof typeof urgencies;

/** The native half of a cache daemon: segments, fetching, and the socket that clients read through. */
export class Engine {
  readonly #native: NativeEngine;
  readonly #calls = new Map<string, AbortController>();

  private constructor(native: NativeEngine) {
    this.#native = native;
  }

  /**
   * Takes the data directories before it returns, and reads what is in them meanwhile. Throws `exists` at once, naming
   * directory and pid, when another daemon has one. Serves nobody before `serve`.
   */
  static open(config: EngineConfig): Promise<Engine> {
    const opening = called(() => binding().openEngine(config));
    return settled(async () => new Engine(await opening));
  }

  /** Listens. Once. */
  async serve(config: ServeConfig): Promise<void> {
    const { handlers, ...rest } = config;
    await settled(() => this.#native.serve(rest, (event) => this.#onEvent(event, handlers)));
  }

  /** Again for one that is attached: replaces its source. */
  attach(attachment: number, settings: AttachmentSettings): void {
    const { identity, admit, compression } = settings;
    const source = nativeSource(settings.source);
    called(() => this.#native.attach(attachment, identity, source, { admit, compression }));
  }

  /** Reads of it fail from now on; its segments stay until they are evicted. */
  detach(attachment: number): void {
    called(() => this.#native.detach(attachment));
  }

  setAdmission(attachment: number, admit: boolean): void {
    called(() => this.#native.setAdmission(attachment, admit));
  }

  /** Null takes them away: requests are then unsigned. */
  setCredentials(attachment: number, credentials: SourceCredentials | null): void {
    called(() => this.#native.setCredentials(attachment, credentials));
  }

  devices(): readonly DeviceStatus[] {
    return called(() => this.#native.devices()) as DeviceStatus[];
  }

  segments(): readonly SegmentStatus[] {
    return called(() => this.#native.segments());
  }

  /**
   * Segments that are unlinked and still held, on filesystems that can tell. What nobody holds any more is given back
   * by this call, and clients that were not told of it yet are told.
   */
  lingering(): readonly Lingering[] {
    return called(() => this.#native.lingering());
  }

  /** What each identity has of the cache. */
  tenants(): readonly TenantStatus[] {
    return called(() => this.#native.tenants());
  }

  /** Whether there is too little room for all that is in use: what is then written of an identity may be compressed. */
  setShort(identity: string, isShort: boolean): void {
    called(() => this.#native.setShort(identity, isShort));
  }

  /** What an identity (by its hash) may have, stored and queued together; null: all there is. */
  setQuota(identity: string, bytes: number | null): void {
    called(() => this.#native.setQuota(identity, bytes));
  }

  /** Bytes of an identity that would be kept if they were fetched now. */
  room(identity: string): number {
    return called(() => this.#native.room(identity));
  }

  /** The size at which segments are full. */
  segmentBytes(): number {
    return called(() => this.#native.segmentBytes());
  }

  /**
   * When the key table has all that earlier runs left; what a person should know of it, a clause each: segment files
   * that were removed or set aside. Until then single records are found where they lie, what is evicted or forgotten
   * waits, and nothing is written.
   */
  loaded(): Promise<readonly string[]> {
    return settled(() => this.#native.loaded());
  }

  counters(): EngineCounters {
    return called(() => this.#native.counters());
  }

  /** Of answers to control messages that no client has taken yet. */
  unsentBytes(): number {
    return called(() => this.#native.unsentBytes());
  }

  /** Bytes resident here of each object of a packed list (object-list.ts). */
  residency(objects: Uint8Array): Float64Array {
    return called(() => this.#native.residency(objects));
  }

  /** Of a packed list of one object: where each of its records is, or why it is not here. */
  async facts(objects: Uint8Array): Promise<ObjectFacts> {
    return (await settled(() => this.#native.facts(objects))) as ObjectFacts;
  }

  /** What the source of an attachment has done since it was attached. */
  sourceTally(attachment: number): SourceTally {
    return called(() => this.#native.sourceTally(attachment));
  }

  /**
   * Forgets all records of these segments (by number) but those with something pinned, then unlinks them; mappings of
   * clients stay valid.
   */
  evict(segments: Uint32Array): Promise<Freed> {
    return settled(() => this.#native.evict(segments));
  }

  /**
   * Copies what is live of a sealed segment to where new records go, of these devices (by index) or of all, and unlinks
   * the old one once that is durable; it is read as before until then. `not-found` when the segment is gone or open,
   * `io` when its device does not give a record, `timeout` when copies are not written in time; what is copied stays.
   */
  copyForward(segment: SegmentName, timeoutMs: number, devices: readonly number[] | null = null): Promise<Copied> {
    return settled(() => this.#native.copyForward(segment, devices, timeoutMs));
  }

  /** What copies of a segment's live records would take; null where it is gone or open. */
  packedBytes(segment: SegmentName): Promise<number | null> {
    return settled(() => this.#native.packedBytes(segment));
  }

  /** So much of each device's room takes no new records from now on: it is for copies alone, and no `room`. */
  reserveForCopies(bytes: number): void {
    called(() => this.#native.reserveForCopies(bytes));
  }

  forget(objects: Uint8Array): Promise<Freed> {
    return settled(() => this.#native.forget(objects));
  }

  /** Forgets what is resident of these objects, but for what dataset versions of the served folder name as well. */
  forgetReplaced(objects: Uint8Array, versions: readonly string[]): Promise<Forgotten> {
    return settled(() => this.#native.forgetReplaced(objects, versions));
  }

  /** What is resident of these objects, or will be, is not evicted from now on, and is kept above any quota. */
  pin(objects: Uint8Array): Promise<void> {
    return settled(() => this.#native.pin(objects));
  }

  unpinAll(): void {
    called(() => this.#native.unpinAll());
  }

  /**
   * Reads all resident records of these objects from their device, past the page cache where that is possible, against
   * their checksums; forgets bad ones.
   */
  verify(objects: Uint8Array): Promise<Verified> {
    return settled(() => this.#native.verify(objects));
  }

  /** Makes these objects resident (as far as they are admitted). */
  fetch(objects: Uint8Array, urgency: Urgency, pace: Pace = Pace.unlimited()): Fetch {
    return new Fetch(called(() => this.#native.fetchObjects(objects, urgencies[urgency], pace.native)));
  }

  /** The same for samples of a dataset version of the served folder, ahead of their loader, by the plan of a number. */
  fetchSamples(version: string, samples: Float64Array, plan: number): Fetch {
    return new Fetch(called(() => this.#native.fetchSamples(version, samples, plan)));
  }

  /** Of samples that a job is to read, those that are not worth their room from then on are not kept when read. */
  judgeSamples(version: string, samples: Float64Array, terms: KeepTerms): Promise<void> {
    return settled(() => this.#native.judgeSamples(version, samples, terms));
  }

  /**
   * What each segment holds of a dataset version that these jobs are to read: of a part of its samples, another one
   * each turn. Segments that hold nothing of it are not named.
   */
  segmentWorths(version: string, jobs: readonly JobAhead[], turn: number): Promise<readonly SegmentWorth[]> {
    return settled(() => this.#native.segmentWorths(version, jobs, turn));
  }

  /**
   * The count of removals at which every byte of a dataset version was resident, null where it is not: as long as
   * `removals` says the same, nothing of it need be fetched.
   */
  wholeAt(version: string): Promise<number | null> {
    return settled(() => this.#native.wholeAt(version));
  }

  /** How often records were made unreachable, by eviction or because they were forgotten. */
  removals(): number {
    return called(() => this.#native.removals());
  }

  /** Returns when everything fetched so far is written and in the key table, or throws `timeout`. */
  flush(timeoutMs: number): Promise<void> {
    return settled(() => this.#native.flush(timeoutMs));
  }

  /**
   * Stops listening, ends what is under way with `closed`, seals all segments, saves the key table. Says what a person
   * should know of it, the first time. Idempotent.
   */
  async close(): Promise<readonly string[]> {
    for (const controller of this.#calls.values()) controller.abort();
    this.#calls.clear();
    return settled(() => this.#native.close());
  }

  #onEvent(event: NativeEvent, handlers: EngineHandlers): void {
    const { connection, call = 0 } = event;
    switch (event.kind) {
      case 'control':
        return void this.#answer(event, handlers);
      case 'cancelled':
        return this.#calls.get(callName(connection, call))?.abort();
      case 'closed':
        return handlers.closed(connection);
      case 'receipts':
        return handlers.receipts(event.receipts ?? []);
      default:
        return;
    }
  }

  async #answer(event: NativeEvent, handlers: EngineHandlers): Promise<void> {
    const { connection, call = 0, body = new Uint8Array(), timeoutMs = 0, pid = 0 } = event;
    const name = callName(connection, call);
    const gone = new AbortController();
    this.#calls.set(name, gone);
    const late = AbortSignal.timeout(timeoutMs);
    const signal = AbortSignal.any([gone.signal, late]);
    try {
      const reply = await handlers.control(body, { connection, pid, timeoutMs, signal });
      this.#native.reply(connection, call, reply);
    } catch (thrown) {
      const error = !(thrown instanceof MillpoolError) && late.aborted ? lateError(timeoutMs) : nativeError(thrown);
      this.#native.replyError(connection, call, errorTable[error.code].number, error.message);
    } finally {
      this.#calls.delete(name);
    }
  }
}

/** The hash that segments of this identity carry (`SegmentStatus.identity`), as 32 hex digits. */
export function identityHash(canonical: string): string {
  return called(() => binding().identityHash(canonical));
}

function nativeSource(source: SourceSettings): NativeSource {
  if (source.kind !== 'away') return source;
  const { code, message } = source.error;
  return { kind: 'away', code: errorTable[code].number, why: message };
}

function lateError(timeoutMs: number): MillpoolError {
  const message = `the daemon did not end a control message within ${timeoutMs} ms`;
  return new MillpoolError({ code: 'timeout', message, remedy: remedyFor('timeout') });
}

function callName(connection: number, call: number): string {
  return `${connection}:${call}`;
}
