import { setTimeout as sleep } from 'node:timers/promises';

import type { Batch as NativeBatch, DatasetFile, Order, Schedule, Step } from '@millpool/native';
import { MillpoolError } from '@millpool/protocol';

import type { DatasetRoad } from './dataset-road.ts';
import type { LoaderPlan } from './loader-plan.ts';
import { RunLength } from './run-length.ts';

/** Between two tries while the daemon is away. */
const restartPollMs = 200;

/** Of one iteration of a loader. */
export interface ReadAheadSettings {
  readonly file: DatasetFile;
  readonly road: DatasetRoad;
  readonly order: Order;
  readonly steps: Schedule;
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

/** A step whose read is under way. */
export interface Ahead {
  readonly step: Step;
  readonly samples: Float64Array;
  readonly read: Promise<Came>;
}

/** Keeps the reads of the next steps under way, so that the loop finds its batches there. */
export class ReadAhead {
  readonly #settings: ReadAheadSettings;
  readonly #run: RunLength;
  #queue: Ahead[] = [];

  constructor(settings: ReadAheadSettings) {
    this.#settings = settings;
    this.#run = new RunLength(settings.prefetchBatches, settings.road.flow.ringBytes);
  }

  /** The next step in order, and begins reads of those behind it; null at the end of the epoch. */
  next(): Ahead | null {
    const { steps } = this.#settings;
    for (let free = this.#run.aheadBatches - this.#queue.length; free >= this.#run.batches; free -= this.#run.batches) {
      const run: Step[] = [];
      for (let step = null; run.length < this.#run.batches && (step = steps.next()) !== null;) run.push(step);
      if (run.length === 0) break;
      this.#start(run);
    }
    return this.#queue.shift() ?? null;
  }

  /** A batch has come: how long its read took decides how many are read by one call. */
  came(batch: NativeBatch): void {
    this.#run.came(batch);
  }

  /** Releases what is still to come. */
  abandon(): void {
    for (const { read } of this.#queue) read.then((late) => late.batch.release()).catch(() => undefined);
    this.#queue = [];
  }

  #start(steps: readonly Step[]): void {
    const batches = steps.map(({ from, count }) => this.#settings.order.samples(from, count));
    const read = this.#read(steps, batches);
    steps.forEach((step, n) => {
      const samples = batches[n]!;
      const own = read.then(async (came) => came[n] ?? (await this.#read([step], [samples]))[0]!);
      // Its failure is met where it is awaited, which may be never: the loop can end before.
      own.catch(() => undefined);
      this.#queue.push({ step, samples, read: own });
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
