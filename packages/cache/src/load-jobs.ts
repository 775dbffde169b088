import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

import type { CoordStore } from '@millpool/coordination';
import type { Log } from '@millpool/host';
import { MillpoolError } from '@millpool/protocol';
import type { ErrorShape, JobStatus, LoadRequest } from '@millpool/protocol';

import { FailureLog } from './failure-log.ts';
import { LoadJob } from './load-job.ts';
import type { LoadParts } from './load-job.ts';
import { LoadRecords } from './load-record.ts';
import type { LoadRecord } from './load-record.ts';

/** Ended loads that are still shown: so many, and so long. */
const endedShown = 100;
/** More loads at once than this are a script gone wrong: each holds a walk and a batch in memory. */
const runningMax = 64;
const endedShownMs = 7 * 86_400_000;
/** Of a status. */
const failuresShown = 1_000;
/** How much is read back once more after a kill. */
const verifiedEveryMs = 5_000;

const failuresSuffix = '.failures';

interface JobsParts extends LoadParts {
  readonly coordination: CoordStore;
  readonly log: Log;
  /** For the lists of failures: the daemon's own. */
  readonly directory: string;
}

interface Kept {
  record: LoadRecord;
  readonly failures: FailureLog;
  /** Null: it ended in an earlier run of the daemon, or has not gone on yet in this one. */
  job: LoadJob | null;
  /** Settles when it has ended and that is written down, or when it was suspended. */
  over: Promise<void>;
}

/**
 * The load jobs of this node, by number. They are kept in the coordination store, so that one goes on when the daemon
 * starts again, however it ended.
 */
export class LoadJobs {
  readonly #parts: JobsParts;
  readonly #records: LoadRecords;
  readonly #kept = new Map<number, Kept>();
  #isStopping = false;

  private constructor(parts: JobsParts) {
    this.#parts = parts;
    this.#records = new LoadRecords(parts.coordination, parts.log);
  }

  /** What earlier runs left. Nothing goes on before `resume`. */
  static async open(parts: JobsParts): Promise<LoadJobs> {
    const jobs = new LoadJobs(parts);
    await mkdir(parts.directory, { recursive: true });
    for (const record of await jobs.#records.all()) jobs.#keep(record);
    for (const name of await readdir(parts.directory)) {
      if (!jobs.#kept.has(Number.parseInt(name, 10))) await rm(join(parts.directory, name), { force: true });
    }
    await jobs.#forgetOldest();
    return jobs;
  }

  resume(): void {
    for (const kept of this.#kept.values()) {
      if (kept.record.ended !== null || kept.job !== null) continue;
      const { job, path } = kept.record;
      this.#parts.log.info('a load goes on', { job, path });
      this.#run(kept, true);
    }
  }

  /** One that goes on already and is the same is not started twice: its number is given. */
  async start(request: LoadRequest): Promise<number> {
    for (const { record } of this.#kept.values()) {
      if (record.ended === null && isSame(record, request)) return record.job;
    }
    if (this.#runningCount() >= runningMax) throw tooMany();
    const record = await this.#records.add(request, this.#now());
    const kept = this.#keep(record);
    this.#run(kept, false);
    return record.job;
  }

  /** Without the lists of their failures. */
  list(): readonly JobStatus[] {
    return [...this.#kept.values()].map((kept) => this.#statusOf(kept, []));
  }

  async failures(job: number, skip: number, limit: number): Promise<readonly ErrorShape[]> {
    return this.#find(job).failures.page(skip, limit);
  }

  /** Written down before it stops: it does not come back, whatever happens meanwhile. */
  async cancel(job: number): Promise<JobStatus> {
    const kept = this.#find(job);
    if (kept.record.ended === null) {
      await this.#saveEnd(kept, 'cancelled');
      kept.job?.cancel();
      await kept.over;
    }
    return this.#statusOf(kept, []);
  }

  /** The job as it stands when it has ended, or after `waitSeconds`. */
  async wait(job: number, waitSeconds: number, signal: AbortSignal): Promise<JobStatus> {
    const kept = this.#find(job);
    const late = new AbortController();
    const aborted = AbortSignal.any([signal, late.signal]);
    const pause = this.#parts.clock.sleep(waitSeconds * 1000, aborted).catch(() => undefined);
    // One that has not gone on yet in this run is over for now, and has not ended.
    const hasBegun = kept.job !== null || kept.record.ended !== null;
    await (hasBegun ? Promise.race([kept.over, pause]) : pause);
    late.abort();
    return this.#statusOf(kept, await kept.failures.page(0, failuresShown));
  }

  /** All stop, and go on in the daemon's next run. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    for (const { job } of this.#kept.values()) job?.suspend();
    await Promise.all([...this.#kept.values()].map(({ over }) => over));
  }

  #keep(record: LoadRecord): Kept {
    const file = join(this.#parts.directory, `${record.job}${failuresSuffix}`);
    const kept: Kept = { record, failures: new FailureLog(file), job: null, over: Promise.resolve() };
    this.#kept.set(record.job, kept);
    return kept;
  }

  #run(kept: Kept, isResumed: boolean): void {
    if (this.#isStopping) return;
    const { clock } = this.#parts;
    let savedMs = clock.monotonicMs();
    const onVerified = async (path: string): Promise<void> => {
      if (clock.monotonicMs() - savedMs < verifiedEveryMs || kept.record.ended !== null) return;
      savedMs = clock.monotonicMs();
      kept.record = { ...kept.record, verifiedThrough: path };
      await this.#records.save(kept.record);
    };
    const keeper = { failures: kept.failures, onVerified };
    const job = new LoadJob(kept.record, isResumed, { parts: this.#parts, keeper });
    kept.job = job;
    kept.over = job.ended.then(() => this.#onEnded(kept, job));
  }

  async #onEnded(kept: Kept, { state }: LoadJob): Promise<void> {
    if (state === 'running') return;
    try {
      await this.#saveEnd(kept, state);
      await this.#forgetOldest();
    } catch (error) {
      // It goes on in the next run, and finds that nothing is left to do.
      const { job, path } = kept.record;
      this.#parts.log.warn('the end of a load could not be kept', { job, path, error: String(error) });
    }
  }

  async #saveEnd(kept: Kept, state: JobStatus['state']): Promise<void> {
    const { files, filesDone, bytes, bytesDone, failureCount, error } = kept.job?.progress ?? notYet;
    const counts = { files, filesDone, bytes, bytesDone, failureCount, error };
    const endedAt = kept.record.ended?.endedAt ?? this.#now();
    kept.record = { ...kept.record, ended: { ...counts, state, endedAt } };
    await this.#records.save(kept.record);
  }

  #statusOf({ record, job }: Kept, failures: readonly ErrorShape[]): JobStatus {
    const { path, verify, limits, startedAt, ended } = record;
    const startedMs = Date.parse(startedAt);
    const seconds = ((ended === null ? this.#parts.clock.nowMs() : Date.parse(ended.endedAt)) - startedMs) / 1000;
    const asked = { job: record.job, path, verify, limits };
    const named = { ...asked, startedAt, endedAt: ended?.endedAt ?? null, seconds, failures };
    if (ended === null && job !== null) return { ...named, ...job.progress };
    const counts = ended ?? notYet;
    const bytesPerSecond = seconds > 0 ? counts.bytesDone / seconds : 0;
    return { ...named, ...counts, endedAt: named.endedAt, bytesPerSecond, secondsLeft: null };
  }

  #runningCount(): number {
    return [...this.#kept.values()].filter(({ record }) => record.ended === null).length;
  }

  #find(job: number): Kept {
    const found = this.#kept.get(job);
    if (found !== undefined) return found;
    throw new MillpoolError({
      code: 'not-found',
      message: `There is no job ${job}.`,
      remedy: '`millpool jobs` lists those that run, and those of the last days.',
    });
  }

  async #forgetOldest(): Promise<void> {
    const ended = [...this.#kept.values()].flatMap((kept) => (kept.record.ended === null ? [] : [kept]));
    const oldestMs = this.#parts.clock.nowMs() - endedShownMs;
    const old = ended.filter(
      ({ record }, i) => i < ended.length - endedShown || Date.parse(record.ended?.endedAt ?? '') < oldestMs,
    );
    for (const { record, failures } of old) {
      this.#kept.delete(record.job);
      await this.#records.remove(record.job);
      await failures.clear();
    }
  }

  #now(): string {
    return new Date(this.#parts.clock.nowMs()).toISOString();
  }
}

function tooMany(): MillpoolError {
  return new MillpoolError({
    code: 'full',
    message: `${runningMax} loads go on already.`,
    remedy: 'Wait for some of them, or load the directory above all of them at once; `millpool jobs` lists them.',
  });
}

function isSame(one: LoadRequest, other: LoadRequest): boolean {
  const partsOf = ({ path, verify, limits }: LoadRequest): readonly unknown[] => [
    path,
    verify,
    limits.bytesPerSecond,
    limits.getsAtOnce,
  ];
  const parts = partsOf(other);
  return partsOf(one).every((part, i) => part === parts[i]);
}

/** Of one that did not go on yet in this run of the daemon. */
const notYet = {
  state: 'running',
  files: 0,
  filesDone: 0,
  bytes: 0,
  bytesDone: 0,
  failureCount: 0,
  error: null,
} as const;
