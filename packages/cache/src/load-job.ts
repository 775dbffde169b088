import type { Clock } from '@millpool/host';
import { packObjects } from '@millpool/native';
import type { Engine } from '@millpool/native';
import { asMillpoolError, MillpoolError } from '@millpool/protocol';
import type { ErrorShape, JobStatus } from '@millpool/protocol';
import type { Metadata, ResolvedEntry } from '@millpool/metadata';

import { stateOf } from './admission.ts';
import type { Eviction } from './eviction.ts';

const failuresShown = 1000;
/** For what is fetched to be written and reachable. */
const flushTimeoutMs = 120_000;
const pollMs = 200;
/** A file is kept once it is older than 2 s by its source's clock (docs/semantics.md, 6). */
const settleMs = 2_500;
/** Files that wait for their age together. */
const unsettledMax = 10_000;

type State = JobStatus['state'];

export interface LoadRequest {
  readonly job: number;
  readonly path: string;
  /** Read back what is resident and fetch again what does not match. */
  readonly verify: boolean;
}

interface LoadParts {
  readonly metadata: Metadata;
  readonly engine: Engine;
  readonly eviction: Eviction;
  readonly clock: Clock;
}

/** Brings every byte below a path into segments. It is done only when each is there: looked up, not assumed. */
export class LoadJob {
  readonly #request: LoadRequest;
  readonly #metadata: Metadata;
  readonly #engine: Engine;
  readonly #clock: Clock;
  readonly #eviction: Eviction;
  readonly #stop = new AbortController();
  readonly #startedMs: number;
  readonly #failures: ErrorShape[] = [];
  /** Settles when the job has ended, however it ended. */
  readonly ended: Promise<void>;
  #state: State = 'running';
  #endedMs: number | null = null;
  #files = 0;
  #bytes = 0;
  #filesDone = 0;
  #bytesDone = 0;
  /** Of the page under way, on top of the two above. */
  #pageFiles = 0;
  #pageBytes = 0;
  #failureCount = 0;
  /** Read, and not kept though there is room: most likely written a moment ago. */
  #unsettled: ResolvedEntry[] = [];

  constructor(request: LoadRequest, parts: LoadParts) {
    this.#request = request;
    this.#metadata = parts.metadata;
    this.#engine = parts.engine;
    this.#clock = parts.clock;
    this.#eviction = parts.eviction;
    this.#startedMs = parts.clock.nowMs();
    this.ended = this.#run();
  }

  get status(): JobStatus {
    return {
      job: this.#request.job,
      path: this.#request.path,
      state: this.#state,
      files: this.#files,
      filesDone: this.#filesDone + this.#pageFiles,
      bytes: this.#bytes,
      bytesDone: this.#bytesDone + this.#pageBytes,
      startedAt: new Date(this.#startedMs).toISOString(),
      seconds: ((this.#endedMs ?? this.#clock.nowMs()) - this.#startedMs) / 1000,
      failures: this.#failures,
      failureCount: this.#failureCount,
    };
  }

  cancel(): void {
    this.#stop.abort();
  }

  async #run(): Promise<void> {
    try {
      await this.#count();
      for await (const page of this.#metadata.walk(this.#request.path, this.#stop.signal)) {
        await this.#loadPage(page.filter((entry) => entry.type === 'file'));
        if (this.#unsettled.length >= unsettledMax) await this.#loadUnsettled();
      }
      await this.#loadUnsettled();
      this.#state = this.#failureCount > 0 ? 'partly' : 'done';
    } catch (error) {
      this.#state = this.#stop.signal.aborted ? 'cancelled' : 'failed';
      if (!this.#stop.signal.aborted) this.#fail(asMillpoolError(error).shape);
    } finally {
      this.#endedMs = this.#clock.nowMs();
    }
  }

  /** First of all, so that the percentage is exact from the start; the walk after it comes from memory. */
  async #count(): Promise<void> {
    for await (const page of this.#metadata.walk(this.#request.path, this.#stop.signal)) {
      for (const entry of page) {
        if (entry.type !== 'file') continue;
        this.#files += 1;
        this.#bytes += entry.size;
      }
    }
  }

  async #loadPage(files: readonly ResolvedEntry[]): Promise<void> {
    const unkept = await this.#eviction.withRoom(files, () => this.#fetch(files), this.#stop.signal);
    const hasRoom = this.#engine.devices().some((device) => stateOf(device) === 'ok');
    if (hasRoom) this.#unsettled.push(...unkept);
    else for (const file of unkept) this.#fail(notKept(file.path).shape);
  }

  /** Once more, when they are old enough. */
  async #loadUnsettled(): Promise<void> {
    const files = this.#unsettled;
    if (files.length === 0) return;
    this.#unsettled = [];
    await this.#clock.sleep(settleMs, this.#stop.signal);
    for (const file of await this.#fetch(files)) this.#fail(notKept(file.path).shape);
  }

  /** Those that were read and are not resident. */
  async #fetch(files: readonly ResolvedEntry[]): Promise<readonly ResolvedEntry[]> {
    if (files.length === 0) return [];
    const objects = packObjects(files);
    if (this.#request.verify) await this.#engine.verify(objects);
    const fetch = this.#engine.fetch(objects, 'load');
    const onAbort = (): void => fetch.cancel();
    this.#stop.signal.addEventListener('abort', onAbort, { once: true });
    const watch = setInterval(() => {
      const { objectsDone, bytesDone } = fetch.progress();
      this.#pageFiles = objectsDone;
      this.#pageBytes = bytesDone;
    }, pollMs);
    try {
      await fetch.done;
    } finally {
      clearInterval(watch);
      this.#stop.signal.removeEventListener('abort', onAbort);
      this.#pageFiles = 0;
      this.#pageBytes = 0;
    }
    this.#stop.signal.throwIfAborted();
    const failed = new Map(fetch.failures().map(({ index, error }) => [index, error]));
    return this.#settle(files, objects, failed);
  }

  /** What is here is done, and what could not be read has failed; the rest is left. */
  async #settle(
    files: readonly ResolvedEntry[],
    objects: Uint8Array,
    failed: ReadonlyMap<number, MillpoolError>,
  ): Promise<readonly ResolvedEntry[]> {
    await this.#engine.flush(flushTimeoutMs);
    const resident = this.#engine.residency(objects);
    const unkept: ResolvedEntry[] = [];
    for (const [i, file] of files.entries()) {
      const failure = failed.get(i);
      if (resident[i] === file.size) {
        this.#filesDone += 1;
        this.#bytesDone += file.size;
      } else if (failure !== undefined) {
        this.#fail({ ...failure.shape, path: file.path });
      } else {
        unkept.push(file);
      }
    }
    return unkept;
  }

  #fail(failure: ErrorShape): void {
    this.#failureCount += 1;
    if (this.#failures.length < failuresShown) this.#failures.push(failure);
  }
}

function notKept(path: string): MillpoolError {
  return new MillpoolError({
    code: 'full',
    message: `${path} was read but not kept: the cache has no room for it, or its policy is stream.`,
    remedy: 'Free something with `millpool free`, or give the daemon more room with --size.',
    path,
  });
}
