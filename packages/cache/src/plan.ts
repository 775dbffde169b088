import type { Clock } from '@millpool/host';
import { Order, Schedule } from '@millpool/native';
import type { DatasetFile, Engine, Fetch, KeepTerms } from '@millpool/native';
import type { LoaderActivity, PlanProgress, PlanRequest, SecondsByCause } from '@millpool/protocol';

import type { PlanStanding } from './jobs-ahead.ts';
import { RecentRate } from './recent-rate.ts';
import { added, nothingRead } from './readers.ts';
import { noWaits, sumOfWaits } from './waits.ts';

/** Samples asked of the engine in one call at most, and calls under way: one ends while others keep the source busy. */
const chunkSamples = 512;
const chunksAtOnce = 4;
/** How far ahead of its loader a plan may be at most: what a GPU node takes in some tenths of a second. */
const windowBytesMax = 512 * 1024 * 1024;

/** What all plans have in common. */
export interface Ahead {
  /** Of their samples that are under way. */
  bytes: number;
  /** They divide these evenly: none is further ahead of its loader than its part. */
  readonly windowBytes: number;
  plans: number;
}

/** Where room is short under the policy `order`: what is read is kept only if it beats what is there. */
export type OrderTerms = Pick<KeepTerms, 'jobs' | 'job' | 'bar'>;

interface Parts {
  readonly number: number;
  readonly engine: Engine;
  readonly clock: Clock;
  readonly ahead: Ahead;
  readonly order: (plan: Plan) => OrderTerms | null;
}

/** Steps that a plan judges ahead then, at least: a loader asks for some at once. It fetches none of them. */
const judgedSteps = 16;
/** Of what a rank reads in an epoch. */
const judgedShare = 1 / 8;

/**
 * Fetches what one loader will ask for, in its order, as far ahead as the window allows, and into the next epoch. What
 * is resident costs a look-up, and a dataset that is resident as a whole costs one in all, until something is removed.
 * It never fetches what would not be kept: those bytes would come twice.
 */
export class Plan {
  readonly #request: PlanRequest;
  readonly #number: number;
  readonly file: DatasetFile;
  readonly #engine: Engine;
  readonly #clock: Clock;
  readonly #ahead: Ahead;
  readonly #order: (plan: Plan) => OrderTerms | null;
  readonly #pace = new RecentRate();
  #pacedMs: number;
  readonly #sampleBytes: number;
  #steps: Schedule;
  #samples: Order;
  #epoch: number;
  /** Samples of this rank asked for, and those that its loader has taken. */
  #asked = 0;
  #taken = 0;
  /** The end of what was asked for of the loader's own epoch. */
  #askedUpTo: number;
  /** Samples of this rank in the steps up to each position that a receipt may name. */
  readonly #takenAt = new Map<number, number>();
  #chunks = 0;
  /** There was no room for more; the loader may have passed it by since. */
  #isHeld = false;
  /** Removals at which the whole dataset was resident; nothing is fetched as long as there are no more. */
  #wholeAt: number | null = null;
  #closed = false;
  readonly #fetches = new Set<Fetch>();
  /** By fetches that have ended. */
  #fetchedSamples = 0;
  #fetchedBytes = 0;
  /** Time with a chunk under way, and since when there is one. */
  #fetchingMs = 0;
  #fetchingSinceMs = 0;
  /** As its receipts say. */
  #position: number;
  #read = nothingRead;
  #waitSeconds = noWaits;

  constructor(request: PlanRequest, file: DatasetFile, { number, engine, clock, ahead, order }: Parts) {
    this.#request = request;
    this.#number = number;
    this.file = file;
    this.#engine = engine;
    this.#clock = clock;
    this.#ahead = ahead;
    this.#ahead.plans += 1;
    this.#order = order;
    this.#pacedMs = clock.monotonicMs();
    this.#epoch = request.epoch;
    this.#position = request.position;
    this.#askedUpTo = request.position;
    this.#samples = this.#orderOf(request.epoch);
    this.#steps = this.#stepsFrom(request.position);
    this.#sampleBytes = Math.max(1, file.bytes / Math.max(1, file.length));
    void this.#begin();
  }

  async #begin(): Promise<void> {
    // A version that cannot be read says so in the loader's own reads.
    this.#wholeAt = await this.#engine.wholeAt(this.#request.version).catch(() => null);
    if (this.#wholeAt === null) this.#advance();
  }

  /** A receipt came: the loader has taken every sample of its steps up to `position`. */
  taken(position: number): void {
    if (this.#wholeAt !== null) {
      if (this.#wholeAt === this.#engine.removals()) return;
      this.#wholeAt = null;
      this.#isHeld = true;
    }
    // Held up, or slower than the loop: what the loop has passed is no longer worth asking for.
    if (this.#isHeld || position > this.#askedUpTo) return this.#goOnFrom(position);
    // One receipt may be of several steps: those before it are taken as well. They lie in order.
    for (const [step, samples] of this.#takenAt) {
      if (step > position) break;
      this.#takenAt.delete(step);
      this.#taken = Math.max(this.#taken, samples);
    }
    this.#advance();
  }

  #goOnFrom(position: number): void {
    this.#isHeld = false;
    this.#epoch = this.#request.epoch;
    this.#samples = this.#orderOf(this.#epoch);
    this.#steps = this.#stepsFrom(position);
    this.#askedUpTo = position;
    this.#asked = 0;
    this.#taken = 0;
    this.#takenAt.clear();
    this.#advance();
  }

  /** A receipt came, of reads up to `position`. */
  readUpTo(position: number, counts: LoaderActivity['read']): void {
    const nowMs = this.#clock.monotonicMs();
    this.#pace.add(Math.max(0, position - this.#position), (nowMs - this.#pacedMs) / 1000);
    this.#pacedMs = nowMs;
    this.#position = Math.max(this.#position, position);
    this.#read = added(this.#read, counts);
  }

  get epochsRead(): number {
    return this.#request.epoch + this.#position / Math.max(1, this.file.length);
  }

  get standing(): PlanStanding {
    return { request: this.#request, position: this.#position, pace: this.#pace.perSecond };
  }

  waited(seconds: SecondsByCause): void {
    this.#waitSeconds = sumOfWaits(this.#waitSeconds, seconds);
  }

  get activity(): Omit<LoaderActivity, 'plan' | 'connection'> {
    const { version, epoch, rank, world } = this.#request;
    return {
      path: this.file.root,
      version,
      epoch,
      rank,
      world,
      samples: this.file.length,
      position: this.#position,
      read: this.#read,
      fetchedAheadSamples: this.progress.fetchedSamples,
      waitSeconds: this.#waitSeconds,
    };
  }

  get progress(): PlanProgress {
    const running = this.#chunks === 0 ? 0 : this.#clock.monotonicMs() - this.#fetchingSinceMs;
    const fetchSeconds = (this.#fetchingMs + running) / 1_000;
    let [fetchedSamples, fetchedBytes] = [this.#fetchedSamples, this.#fetchedBytes];
    for (const fetch of this.#fetches) {
      const { fetchedObjects, fetchedBytes: bytes } = fetch.progress();
      fetchedSamples += fetchedObjects;
      fetchedBytes += bytes;
    }
    return { fetchedSamples, fetchedBytes, fetchSeconds };
  }

  close(): void {
    this.#closed = true;
    this.#ahead.plans -= 1;
  }

  #advance(): void {
    while (!this.#isHeld && !this.#closed && this.#chunks < chunksAtOnce) {
      const terms = this.#order(this);
      const window = terms === null ? this.#windowSamples : this.#judgedSamples;
      const chunk = terms === null ? Math.min(chunkSamples, Math.ceil(window / chunksAtOnce)) : 1;
      if (this.#asked - this.#taken + chunk > window) return;
      if (terms !== null) {
        const step = this.#nextChunk(1);
        if (step === null) return;
        void this.#judge(step, { ...terms, epoch: this.#epoch });
        continue;
      }
      const room = Math.floor((this.#engine.room(this.file.identity) - this.#ahead.bytes) / this.#sampleBytes);
      this.#isHeld = room < this.#request.globalBatch / this.#request.world;
      const samples = this.#isHeld ? null : this.#nextChunk(Math.min(chunk, room));
      if (samples === null) return;
      void this.#fetch(samples);
    }
  }

  get #judgedSamples(): number {
    const { globalBatch, world } = this.#request;
    return Math.max(judgedSteps * Math.ceil(globalBatch / world), (this.file.length / world) * judgedShare);
  }

  /** What is not judged is kept where there is room. */
  async #judge(samples: Float64Array, terms: KeepTerms): Promise<void> {
    this.#chunks += 1;
    await this.#engine.judgeSamples(this.#request.version, samples, terms).catch(() => undefined);
    this.#chunks -= 1;
    this.#advance();
  }

  get #windowSamples(): number {
    const { windowBytes, plans } = this.#ahead;
    const samples = Math.floor(Math.min(windowBytesMax, windowBytes / plans) / this.#sampleBytes);
    // Less than two steps would have the loop wait for each.
    const least = 2 * Math.ceil(this.#request.globalBatch / this.#request.world);
    return Math.max(least, samples);
  }

  async #fetch(samples: Float64Array): Promise<void> {
    const bytes = samples.length * this.#sampleBytes;
    if (this.#chunks === 0) this.#fetchingSinceMs = this.#clock.monotonicMs();
    this.#chunks += 1;
    this.#ahead.bytes += bytes;
    let fetch: Fetch | null = null;
    try {
      fetch = this.#engine.fetchSamples(this.#request.version, samples, this.#number);
      this.#fetches.add(fetch);
      const ended = await fetch.done;
      this.#fetchedSamples += ended.fetchedObjects;
      this.#fetchedBytes += ended.fetchedBytes;
    } catch {
      // What fails here fails again in the samples' own reads, which have somebody to tell.
    } finally {
      if (fetch !== null) this.#fetches.delete(fetch);
      this.#chunks -= 1;
      if (this.#chunks === 0) this.#fetchingMs += this.#clock.monotonicMs() - this.#fetchingSinceMs;
      this.#ahead.bytes -= bytes;
    }
    this.#advance();
  }

  /** About so many samples of this rank, whole steps at a time; null when the next epoch is through as well. */
  #nextChunk(count: number): Float64Array | null {
    const chunk: number[] = [];
    while (chunk.length < count) {
      const step = this.#steps.next();
      if (step === null) {
        if (this.#epoch > this.#request.epoch) break;
        this.#epoch += 1;
        this.#samples = this.#orderOf(this.#epoch);
        this.#steps = this.#stepsFrom(0);
        continue;
      }
      chunk.push(...this.#samples.samples(step.from, step.count));
      this.#asked += step.count;
      if (this.#epoch > this.#request.epoch) continue;
      this.#takenAt.set(step.nextPosition, this.#asked);
      this.#askedUpTo = step.nextPosition;
    }
    return chunk.length === 0 ? null : Float64Array.from(chunk);
  }

  #orderOf(epoch: number): Order {
    const { seed, shuffle } = this.#request;
    return new Order({ count: this.file.length, seed, epoch, shuffle });
  }

  #stepsFrom(position: number): Schedule {
    const { globalBatch, world, rank, dropLast } = this.#request;
    return new Schedule({ count: this.file.length, globalBatch, world, rank, dropLast, position });
  }
}
