import { setMaxListeners } from 'node:events';

import { Order, Schedule } from '@millpool/native';
import type { Batch as NativeBatch, DatasetFile } from '@millpool/native';
import { MillpoolError } from '@millpool/protocol';

import { settleBatch } from './batch.ts';
import type { Batch } from './batch.ts';
import type { DatasetRoad } from './dataset-road.ts';
import { LoaderPlan } from './loader-plan.ts';
import { checkLoaderOptions } from './loader-settings.ts';
import type { LoaderOptions, LoaderSettings, SampleList } from './loader-settings.ts';
import { orderVersion } from './loader-state.ts';
import type { LoaderState } from './loader-state.ts';
import { ReadAhead } from './read-ahead.ts';
import type { Ahead } from './read-ahead.ts';
import { StallAccount } from './report.ts';
import type { BatchCost, Report } from './report.ts';

export type { LoaderOptions } from './loader-settings.ts';

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
  #epoch: number;
  #position: number;
  #iterating = false;

  /** For `Dataset.loader`. */
  constructor(dataset: SampleList, file: DatasetFile, road: DatasetRoad, options: LoaderOptions) {
    this.#dataset = dataset;
    this.#file = file;
    this.#road = road;
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
    return this.#account.report();
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
      for (let next = ahead.next(); next !== null; next = ahead.next()) {
        const native = await next.read;
        ahead.came(native);
        const batch = this.#deliver(next, native, askedMs);
        plan?.delivered(this.#position, this.#account.waitSeconds);
        if (plan !== null) this.#account.fetchedAhead(plan.progress);
        yield batch;
        askedMs = performance.now();
      }
      this.#epoch += 1;
      this.#position = 0;
    } finally {
      stop.abort();
      ahead?.abandon();
      await this.#closePlan(plan);
      this.#iterating = false;
    }
  }

  #readAhead(plan: LoaderPlan | null, signal: AbortSignal): ReadAhead {
    const { seed, shuffle, prefetchBatches } = this.#settings;
    const count = this.#file.length;
    const order = new Order({ count, seed, epoch: this.#epoch, shuffle });
    const steps = new Schedule({ ...this.#settings, count, position: this.#position });
    return new ReadAhead({ file: this.#file, road: this.#road, order, steps, plan, prefetchBatches, signal });
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

  #deliver({ step, samples }: Ahead, native: NativeBatch, askedMs: number): Batch {
    const rows = {
      indices: samples,
      places: null,
      pathOf: (index: number): string => this.#dataset.path(index),
      errors: native.failures,
    };
    const batch = settleBatch(native, rows, this.#settings.onError);
    const skipped = samples.length - batch.length;
    this.#account.delivered(costOf(native), skipped, { askedMs, deliveredMs: performance.now() });
    this.#position = step.nextPosition;
    return batch;
  }
}

function costOf(read: NativeBatch): BatchCost {
  const { sourceNs, peerNs, deviceNs, gatherNs, queueNs } = read.waits;
  return {
    samples: read.length - read.failures.size,
    bytes: read.bytes,
    sourceBytes: read.fetchedBytes,
    hitSamples: read.hits,
    seconds: {
      source: sourceNs / 1e9,
      peer: peerNs / 1e9,
      device: deviceNs / 1e9,
      gather: gatherNs / 1e9,
      transform: 0,
      copy: 0,
      queue: queueNs / 1e9,
    },
  };
}
