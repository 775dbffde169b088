import { setTimeout as sleep } from 'node:timers/promises';

import type { Batch as NativeBatch, DatasetFile, KnownReads, Order, Schedule, Step } from '@millpool/native';
import { MillpoolError } from '@millpool/protocol';

import { AtOnce } from './at-once.ts';
import type { DatasetRoad } from './dataset-road.ts';
import type { LoaderPlan } from './loader-plan.ts';
import { RunLength } from './run-length.ts';

/** Between two tries while the daemon is away. */
const restartPollMs = 200;
/** Between two looks of a waiting loop whether slots are what is missing. */
const lookMs = 50;

/** Of one iteration of a loader. */
export interface ReadAheadSettings {
  readonly file: DatasetFile;
  readonly road: DatasetRoad;
  readonly order: Order;
  readonly steps: Schedule;
  /** Of this rank, at most. */
  readonly batchSize: number;
  /** Null where the daemon is told nothing. */
  readonly plan: LoaderPlan | null;
  /** Batches under way or ready; null: as many as serve. */
  readonly prefetchBatches: number | null;
  readonly signal: AbortSignal;
}

/** A batch, and when its read had ended, in monotonic milliseconds. */
export interface Came {
  readonly batch: NativeBatch;
  readonly cameMs: number;
}

/** A step whose read is under way, or was made at once. */
export interface Ahead {
  readonly step: Step;
  readonly samples: Float64Array;
  readonly read: Promise<Came> | Came;
  /** It has come. */
  readonly isReady: boolean;
}

/** Where it is ready, it holds a slot that nobody asked for yet. */
interface Queued extends Ahead {
  readonly read: Promise<Came>;
  isReady: boolean;
}

/**
 * Keeps the reads of the next steps under way, so that the loop finds its batches there. Where the loop waits while
 * somebody is short of a slot, what is read ahead is given back, and read again later: what can then still keep the
 * loop from its batch is batches that are held elsewhere.
 */
export class ReadAhead {
  readonly #settings: ReadAheadSettings;
  readonly #run: RunLength;
  readonly #atOnce: AtOnce;
  readonly #known: KnownReads;
  /** Steps that could not be read at once, or that were given back, in order. */
  #left: Step[] = [];
  #queue: Queued[] = [];
  /** So many may be under way or ready, with the one that the loop waits for. */
  #room = Number.POSITIVE_INFINITY;

  constructor(settings: ReadAheadSettings) {
    const { file, road, batchSize, prefetchBatches } = settings;
    this.#settings = settings;
    this.#run = new RunLength(prefetchBatches, road.flow.ringBytes);
    const batchBytes = (file.bytes / Math.max(1, file.length)) * batchSize;
    this.#atOnce = new AtOnce(prefetchBatches === null ? batchBytes : Number.POSITIVE_INFINITY);
    this.#known = road.flow.known(file);
  }

  /** The next step in order, and begins reads of those behind it; null at the end of the epoch. */
  next(): Ahead | null {
    if (this.#atOnce.serves) {
      const known = this.#queue.length === 0 ? this.#readAtOnce() : null;
      if (known !== null) return known;
    } else this.#startAhead();
    return this.#queue.shift() ?? null;
  }

  /** What it reads, once it has come. */
  async arrival({ read, isReady }: Ahead): Promise<Came> {
    if (isReady) return read;
    for (;;) {
      let timer: NodeJS.Timeout | undefined;
      const look = new Promise<null>((resolve) => (timer = setTimeout(resolve, lookMs, null)));
      const came = await Promise.race([read, look]).finally(() => clearTimeout(timer));
      if (came !== null) return came;
      if (this.#settings.road.flow.state.shortOfSlots) this.#giveBack();
    }
  }

  /** A batch has come, for which the loop asked then. How its read went decides how the next ones are read. */
  came({ read }: Ahead, { batch, cameMs }: Came, askedMs: number): void {
    if (!(read instanceof Promise)) return;
    this.#run.came(batch, cameMs > askedMs);
    this.#atOnce.passed();
  }

  /** How long the loop worked on its last batch. */
  worked(ms: number): void {
    this.#atOnce.worked(ms);
  }

  /** Releases what is still to come. */
  abandon(): void {
    for (const { read } of this.#queue) read.then((late) => late.batch.release()).catch(() => undefined);
    this.#queue = [];
  }

  /** No more is read ahead from now on than held slots just now. */
  #giveBack(): void {
    const ready = this.#queue.filter(({ isReady }) => isReady).length;
    if (ready === 0) return;
    this.#room = Math.min(this.#room, ready);
    this.#left.unshift(...this.#queue.map(({ step }) => step));
    this.abandon();
  }

  #readAtOnce(): Ahead | null {
    const { order, plan, signal } = this.#settings;
    const step = this.#nextStep();
    if (step === null) return null;
    const samples = order.samples(step.from, step.count);
    const batch = signal.aborted ? null : this.#known.read(samples, plan?.number ?? 0, step.nextPosition);
    if (batch !== null) {
      this.#atOnce.succeeded();
      return { step, samples, read: { batch, cameMs: performance.now() }, isReady: true };
    }
    this.#atOnce.failed();
    this.#left.unshift(step);
    this.#startAhead();
    return null;
  }

  #startAhead(): void {
    const most = Math.min(this.#run.aheadBatches, this.#room);
    const length = Math.min(this.#run.batches, this.#room);
    for (let free = most - this.#queue.length; free >= length; free -= length) {
      const run: Step[] = [];
      for (let step = null; run.length < length && (step = this.#nextStep()) !== null;) run.push(step);
      if (run.length === 0) break;
      this.#start(run);
    }
  }

  #nextStep(): Step | null {
    return this.#left.shift() ?? this.#settings.steps.next();
  }

  #start(steps: readonly Step[]): void {
    const batches = steps.map(({ from, count }) => this.#settings.order.samples(from, count));
    const read = this.#read(steps, batches);
    steps.forEach((step, n) => {
      const samples = batches[n]!;
      const own = read.then(async (came) => came[n] ?? (await this.#read([step], [samples]))[0]!);
      // Its failure is met where it is awaited, which may be never: the loop can end before.
      const queued: Queued = { step, samples, read: own, isReady: false };
      own.then(
        () => (queued.isReady = true),
        () => undefined,
      );
      this.#queue.push(queued);
    });
  }

  /** The first of these, and as many behind it as are resident. */
  async #read(steps: readonly Step[], batches: Float64Array[]): Promise<readonly Came[]> {
    const { file, road, plan, signal } = this.#settings;
    const { flow, timeoutMs } = road;
    const read = (): Promise<readonly NativeBatch[]> => {
      const positions = steps.map((step) => step.nextPosition);
      return flow.readRun(file, batches, { timeoutMs, signal, plan: plan?.number ?? 0, positions });
    };
    const came = await throughRestarts(read, { timeoutMs, signal });
    const cameMs = performance.now();
    return came.map((batch) => ({ batch, cameMs }));
  }
}

/** Asks again while the daemon is away, for as long as one read may take: one that is started again is waited for. */
async function throughRestarts<Read>(
  read: () => Promise<Read>,
  { timeoutMs, signal }: { readonly timeoutMs: number; readonly signal: AbortSignal },
): Promise<Read> {
  const deadlineMs = performance.now() + timeoutMs;
  for (;;) {
    try {
      return await read();
    } catch (error) {
      const away = error instanceof MillpoolError && (error.code === 'unreachable' || error.code === 'closed');
      if (!away || performance.now() > deadlineMs) throw error;
      await sleep(restartPollMs, undefined, { signal }).catch(() => undefined);
    }
  }
}
