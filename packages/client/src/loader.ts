import { setMaxListeners } from 'node:events';
import { setImmediate as nextTurn } from 'node:timers/promises';

import { Order, Schedule } from '@millpool/native';
import type { DatasetFile } from '@millpool/native';
import { MillpoolError } from '@millpool/protocol';

import { settleBatch } from './batch.ts';
import type { Batch } from './batch.ts';
import { cacheFactsOf } from './cache-facts.ts';
import type { CacheFacts } from './cache-facts.ts';
import type { DatasetRoad } from './dataset-road.ts';
import { LoaderPlan } from './loader-plan.ts';
import { checkLoaderOptions } from './loader-settings.ts';
import type { LoaderOptions, LoaderSettings, SampleList } from './loader-settings.ts';
import { orderVersion } from './loader-state.ts';
import type { LoaderState } from './loader-state.ts';
import { ReadAhead } from './read-ahead.ts';
import type { Ahead, Came } from './read-ahead.ts';
import type { Report } from './report.ts';
import { StageProbe } from './stage-probe.ts';
import { StallAccount } from './stall-account.ts';

export type { LoaderOptions } from './loader-settings.ts';

/** Batches that are there at once would keep a loop from everything else that its process does: timers, sockets. */
const turnMsMax = 4;

/**
 * Batches of a dataset in the order of (seed, epoch). One iteration is what is left of the current epoch; the next one
 * is the next epoch. The order depends on neither rank nor world: a resumed loader goes on where its state says.
 */
export class Loader implements AsyncIterable<Batch> {
  readonly #dataset: SampleList;
  readonly #file: DatasetFile;
  readonly #road: DatasetRoad;
  readonly #settings: LoaderSettings;
  readonly #account = new StallAccount();
  readonly #probe: StageProbe;
  #cache: CacheFacts | null = null;
  #epoch: number;
  #position: number;
  #iterating = false;

  /** For `Dataset.loader`. */
  constructor(dataset: SampleList, file: DatasetFile, road: DatasetRoad, options: LoaderOptions) {
    this.#dataset = dataset;
    this.#file = file;
    this.#road = road;
    this.#probe = new StageProbe(file, road);
    this.#settings = checkLoaderOptions(options, dataset);
    this.#epoch = this.#settings.epoch;
    this.#position = this.#settings.position;
  }

  /** The epoch that the next batch belongs to. */
  get epoch(): number {
    return this.#epoch;
  }

  /** Where the loader stands: after the last batch that was handed out. JSON of less than 1 kB. */
  state(): LoaderState {
    const { seed, globalBatch, shuffle, dropLast } = this.#settings;
    return {
      format: 'millpool-loader-1',
      orderVersion,
      datasets: [{ version: this.#dataset.version, weight: 1 }],
      seed,
      epoch: this.#epoch,
      position: this.#position,
      globalBatch,
      shuffle,
      dropLast,
    };
  }

  /** How fast the loop went and what it waited for, since the loader was made. */
  report(): Report {
    return this.#account.report({
      dataset: { path: this.#file.root, bytes: this.#file.bytes },
      replays: this.#probe,
      cache: this.#cache,
    });
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Batch, void, void> {
    if (this.#iterating) {
      throw new MillpoolError({
        code: 'invalid',
        message: 'This loader is being iterated already.',
        remedy: 'Make a second loader for a second loop.',
      });
    }
    this.#iterating = true;
    const stop = new AbortController();
    const signal = this.#settings.signal === null ? stop.signal : AbortSignal.any([stop.signal, this.#settings.signal]);
    // Each read under way listens, and there may be as many as a user wants.
    setMaxListeners(0, signal);
    let ahead: ReadAhead | null = null;
    let plan: LoaderPlan | null = null;
    try {
      plan = await this.#openPlan();
      ahead = this.#readAhead(plan, signal);
      let askedMs = performance.now();
      let turnMs = askedMs;
      for (let next = ahead.next(); next !== null; next = ahead.next()) {
        const came = next.read instanceof Promise ? await ahead.arrival(next) : next.read;
        ahead.came(next, came, askedMs);
        const batch = this.#deliver(next, came, askedMs);
        if (this.#probe.delivered(next.samples, came.cameMs, signal)) void this.#askCache();
        plan?.delivered(this.#position, this.#account.waitSeconds);
        if (plan !== null) this.#account.fetchedAhead(plan.progress);
        const handedMs = performance.now();
        yield batch;
        askedMs = performance.now();
        ahead.worked(askedMs - handedMs);
        if (next.read instanceof Promise) turnMs = askedMs;
        else if (askedMs - turnMs > turnMsMax) {
          await nextTurn();
          askedMs = performance.now();
          turnMs = askedMs;
        }
      }
      this.#epoch += 1;
      this.#position = 0;
    } finally {
      stop.abort();
      ahead?.abandon();
      await this.#closePlan(plan);
      await this.#askCache();
      this.#iterating = false;
    }
  }

  #readAhead(plan: LoaderPlan | null, signal: AbortSignal): ReadAhead {
    const { seed, shuffle, prefetchBatches, globalBatch, world } = this.#settings;
    const count = this.#file.length;
    const order = new Order({ count, seed, epoch: this.#epoch, shuffle });
    const steps = new Schedule({ ...this.#settings, count, position: this.#position });
    const [file, road, batchSize] = [this.#file, this.#road, Math.ceil(globalBatch / world)];
    return new ReadAhead({ file, road, order, steps, plan, batchSize, prefetchBatches, signal });
  }

  /** Tells the daemon what will be read, so that it fetches ahead of the loop. Null where hints are off. */
  async #openPlan(): Promise<LoaderPlan | null> {
    const { hints, seed, shuffle, dropLast, globalBatch, rank, world } = this.#settings;
    if (!hints || this.#file.length === 0) return null;
    const request = {
      version: this.#dataset.version,
      seed,
      epoch: this.#epoch,
      shuffle,
      dropLast,
      position: this.#position,
      globalBatch,
      rank,
      world,
    };
    return LoaderPlan.open(this.#road, request, this.#account.waitSeconds);
  }

  async #closePlan(plan: LoaderPlan | null): Promise<void> {
    if (plan === null) return;
    await plan.close(this.#account.waitSeconds);
    this.#account.fetchedAhead(plan.progress);
    this.#account.planEnded();
  }

  /** For the report: what the cache can do for this dataset. Asked as seldom as stages are measured. */
  async #askCache(): Promise<void> {
    this.#cache = (await cacheFactsOf(this.#file.root, this.#road)) ?? this.#cache;
  }

  #deliver({ step, samples }: Ahead, { batch: read, cameMs }: Came, askedMs: number): Batch {
    const rows = {
      indices: samples,
      places: null,
      pathOf: (index: number): string => this.#dataset.path(index),
      errors: read.failures,
    };
    const batch = settleBatch(read, rows, this.#settings.onError);
    const skipped = samples.length - batch.length;
    this.#account.delivered(read, { askedMs, deliveredMs: performance.now(), cameMs, skipped });
    this.#position = step.nextPosition;
    return batch;
  }
}
