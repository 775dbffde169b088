import { unlessAborted } from '@millpool/host';
import type { Clock } from '@millpool/host';
import { identityHash, Pace, packObjects } from '@millpool/native';
import type { Engine } from '@millpool/native';
import { asMillpoolError, comparePaths, errorTable, MillpoolError } from '@millpool/protocol';
import type { ErrorShape, JobStatus } from '@millpool/protocol';
import type { Metadata, ResolvedEntry } from '@millpool/metadata';

import { stateOf } from './admission.ts';
import type { Eviction } from './eviction.ts';
import type { FailureLog } from './failure-log.ts';
import { inOrder } from './in-order.ts';
import { batchesAtOnce, batchesOf, filesAtOnce } from './load-batch.ts';
import { LoadProgress } from './load-progress.ts';
import type { LoadRecord } from './load-record.ts';
import { storedShare } from './tenants.ts';
import type { Tiering } from './tiering.ts';

/** For what is fetched to be written and reachable. */
const flushTimeoutMs = 120_000;
const pollMs = 200;
/** A file is kept once it is older than 2 s by its source's clock (docs/semantics.md, 6). */
const settleMs = 2_500;
/** Files that wait for their age together. */
const unsettledMax = 10_000;
/** What is removed while a load goes on is fetched again, so often. */
const passesMax = 3;
/** A source that is away when a load is to go on after a restart is asked again, so long. */
const resumeForMs = 600_000;
const resumeEveryMs = 5_000;

type Files = readonly ResolvedEntry[];

export interface LoadParts {
  readonly metadata: Metadata;
  readonly engine: Engine;
  readonly eviction: Pick<Eviction, 'expect' | 'withRoom'>;
  readonly tiering: Pick<Tiering, 'roomFor'>;
  readonly clock: Clock;
}

/** What a load tells whoever keeps it. */
export interface LoadKeeper {
  readonly failures: FailureLog;
  /** Everything up to this path was read back, or came from the source just now. */
  onVerified(path: string): Promise<void>;
}

/**
 * Brings every byte below a path into segments. It is done only when each is there: looked up, not assumed. One that
 * was stopped goes on from the start of its listing, and passes over what is resident.
 */
export class LoadJob {
  readonly #record: LoadRecord;
  readonly #parts: LoadParts;
  readonly #keeper: LoadKeeper;
  readonly #stop = new AbortController();
  readonly #progress: LoadProgress;
  readonly #pace: Pace;
  /** Settles when nothing of it runs any more: it has ended, or was suspended. */
  readonly ended: Promise<void>;
  #state: JobStatus['state'] = 'running';
  #isCancelled = false;
  #failureCount = 0;
  #error: ErrorShape | null = null;
  /** Read, and not kept though there is room: most likely written a moment ago. */
  #unsettled: ResolvedEntry[] = [];

  /** `isResumed`: it began in an earlier run of the daemon. */
  constructor(record: LoadRecord, isResumed: boolean, { parts, keeper }: { parts: LoadParts; keeper: LoadKeeper }) {
    this.#record = record;
    this.#parts = parts;
    this.#keeper = keeper;
    this.#progress = new LoadProgress(parts.clock);
    this.#pace = new Pace(record.limits);
    this.ended = this.#run(isResumed);
  }

  get state(): JobStatus['state'] {
    return this.#state;
  }

  get progress(): Omit<
    JobStatus,
    'job' | 'path' | 'verify' | 'limits' | 'startedAt' | 'endedAt' | 'seconds' | 'failures'
  > {
    const { counts } = this.#progress;
    return { ...counts, state: this.#state, failureCount: this.#failureCount, error: this.#error };
  }

  /** It ends as cancelled. */
  cancel(): void {
    this.#isCancelled = true;
    this.#stop.abort();
  }

  /** It stops, and is to go on in the daemon's next run. */
  suspend(): void {
    this.#stop.abort();
  }

  async #run(isResumed: boolean): Promise<void> {
    let forget = (): void => undefined;
    try {
      const bytes = await (isResumed ? this.#countPatiently() : this.#count());
      forget = this.#parts.eviction.expect(bytes);
      await this.#passUntilAllIsThere();
      this.#progress.end();
      this.#state = this.#failureCount > 0 ? 'partly' : 'done';
    } catch (error) {
      if (this.#isCancelled) this.#state = 'cancelled';
      else if (!this.#stop.signal.aborted) {
        this.#state = 'failed';
        this.#error = asMillpoolError(error).shape;
      }
    } finally {
      forget();
    }
  }

  /**
   * First of all, so that the percentage is exact from the start; the walk after it comes from memory. Gives the bytes
   * of each identity.
   */
  async #count(): Promise<ReadonlyMap<string, number>> {
    let [files, bytes] = [0, 0];
    const byAttachment = new Map<number, number>();
    for await (const batch of this.#batches()) {
      files += batch.length;
      bytes += sizeOf(batch);
      for (const { attachment, size } of batch)
        byAttachment.set(attachment, (byAttachment.get(attachment) ?? 0) + size);
    }
    this.#progress.listed(files, bytes);
    const byIdentity = new Map<string, number>();
    for (const { id, identity } of this.#parts.metadata.attachments()) {
      const name = identityHash(identity);
      byIdentity.set(name, (byIdentity.get(name) ?? 0) + (byAttachment.get(id) ?? 0));
    }
    return byIdentity;
  }

  async #countPatiently(): Promise<ReadonlyMap<string, number>> {
    const { clock } = this.#parts;
    for (const deadlineMs = clock.monotonicMs() + resumeForMs; ;) {
      try {
        return await this.#count();
      } catch (error) {
        const { code } = asMillpoolError(error);
        if (!errorTable[code].retryable || clock.monotonicMs() > deadlineMs) throw error;
        await clock.sleep(resumeEveryMs, this.#stop.signal);
      }
    }
  }

  /** What was evicted or freed behind the load's back is missing again, and `done` would not be true. */
  async #passUntilAllIsThere(): Promise<void> {
    const { engine } = this.#parts;
    for (let pass = 1; ; pass += 1) {
      const removals = engine.removals();
      await this.#pass(this.#record.verify && pass === 1);
      if (engine.removals() === removals || this.#failureCount > 0 || pass === passesMax) return;
    }
  }

  async #pass(verifies: boolean): Promise<void> {
    this.#failureCount = 0;
    await this.#keeper.failures.clear();
    this.#progress.beginPass();
    const bring = async (batch: Files): Promise<void> => {
      this.#progress.saw(batch.length, sizeOf(batch));
      if (verifies) await this.#verify(batch);
      await this.#loadBatch(batch);
    };
    for await (const batch of inOrder(this.#batches(), batchesAtOnce, bring)) {
      if (this.#unsettled.length >= unsettledMax) await this.#loadUnsettled();
      if (verifies) await this.#keeper.onVerified(batch.at(-1)?.path ?? this.#record.path);
    }
    await this.#loadUnsettled();
  }

  #batches(): AsyncGenerator<Files> {
    return batchesOf(this.#parts.metadata.walk(this.#record.path, this.#stop.signal));
  }

  /** Forgets what does not match its checksum, so that it is missing. */
  async #verify(batch: Files): Promise<void> {
    const { verifiedThrough } = this.#record;
    const isDue = ({ path }: ResolvedEntry): boolean =>
      verifiedThrough === null || comparePaths(path, verifiedThrough) > 0;
    const due = batch.filter(isDue);
    if (due.length > 0) await unlessAborted(this.#stop.signal, this.#parts.engine.verify(packObjects(due)));
  }

  async #loadBatch(batch: Files): Promise<void> {
    const missing = this.#settleResident(batch);
    if (missing.length === 0) return;
    const { eviction, engine } = this.#parts;
    const load = (isMade: boolean): Promise<Files> => (isMade ? this.#fetch(missing) : this.#fetchAsRoomComes(missing));
    const unkept = await eviction.withRoom(missing, load, this.#stop.signal);
    const hasRoom = engine.devices().some((device) => stateOf(device) === 'ok');
    if (hasRoom) this.#unsettled.push(...unkept);
    else await this.#fail(unkept.map(({ path }) => notKept(path).shape));
  }

  /** Those that were read and are not resident. */
  async #fetchAsRoomComes(files: Files): Promise<Files> {
    const { metadata, tiering } = this.#parts;
    const [first] = files;
    const attached = metadata.attachments().find(({ id }) => id === first?.attachment);
    if (attached === undefined) return this.#fetch(files);
    const identity = identityHash(attached.identity);
    const unkept: ResolvedEntry[] = [];
    for (let left = files; left.length > 0;) {
      const room = await tiering.roomFor(identity, sizeOf(left) * storedShare, this.#stop.signal);
      try {
        const now = fitting(left, room.bytes / storedShare);
        unkept.push(...(await this.#fetch(now)));
        left = left.slice(now.length);
      } finally {
        room.release();
      }
    }
    return unkept;
  }

  /** Once more, when they are old enough. */
  async #loadUnsettled(): Promise<void> {
    const files = this.#unsettled;
    if (files.length === 0) return;
    this.#unsettled = [];
    await this.#parts.clock.sleep(settleMs, this.#stop.signal);
    for (let first = 0; first < files.length; first += filesAtOnce) {
      const unkept = await this.#fetch(files.slice(first, first + filesAtOnce));
      await this.#fail(unkept.map(({ path }) => notKept(path).shape));
    }
  }

  /** Counts what is here as done, and gives what is not. */
  #settleResident(files: Files): Files {
    const resident = this.#parts.engine.residency(packObjects(files));
    const isHere = files.map(({ size }, i) => resident[i] === size);
    const here = files.filter((_, i) => isHere[i]);
    this.#progress.settled(here.length, sizeOf(here));
    return files.filter((_, i) => !isHere[i]);
  }

  /** Those that were read and are not resident. */
  async #fetch(files: Files): Promise<Files> {
    const { engine } = this.#parts;
    const objects = packObjects(files);
    const fetch = engine.fetch(objects, 'load', this.#pace);
    const onAbort = (): void => fetch.cancel();
    this.#stop.signal.addEventListener('abort', onAbort, { once: true });
    const watch = setInterval(() => this.#look(files, objects), pollMs);
    try {
      // One that is stopped does not wait for what is under way: that ends by itself, and is kept.
      await unlessAborted(this.#stop.signal, fetch.done);
      await unlessAborted(this.#stop.signal, engine.flush(flushTimeoutMs));
    } finally {
      clearInterval(watch);
      this.#progress.fetched(files);
      this.#stop.signal.removeEventListener('abort', onAbort);
    }
    const failed = new Map(fetch.failures().map(({ index, error }) => [index, error]));
    const failureOf = new Map(files.map((file, i) => [file, failed.get(i)]));
    const missing = this.#settleResident(files);
    const failures = missing.flatMap((file) => {
      const failure = failureOf.get(file);
      return failure === undefined ? [] : [{ ...failure.shape, path: file.path }];
    });
    await this.#fail(failures);
    return missing.filter((file) => failureOf.get(file) === undefined);
  }

  #look(files: Files, objects: Uint8Array): void {
    const resident = this.#parts.engine.residency(objects);
    const whole = files.filter(({ size }, i) => resident[i] === size).length;
    this.#progress.underWay(
      files,
      whole,
      resident.reduce((sum, bytes) => sum + bytes, 0),
    );
  }

  async #fail(failures: readonly ErrorShape[]): Promise<void> {
    this.#failureCount += failures.length;
    await this.#keeper.failures.append(failures);
  }
}

function sizeOf(files: Files): number {
  return files.reduce((sum, { size }) => sum + size, 0);
}

/** The first ones that are so many bytes together, and one at least. */
function fitting(files: Files, bytes: number): Files {
  let sum = 0;
  const end = files.findIndex(({ size }) => (sum += size) > bytes);
  return end === -1 ? files : files.slice(0, Math.max(1, end));
}

function notKept(path: string): MillpoolError {
  return new MillpoolError({
    code: 'full',
    message: `${path} was read but not kept: the cache has no room for it, or its policy is stream.`,
    remedy: 'Free something with `millpool free`, or give the daemon more room with --size.',
    path,
  });
}
