import type { NativeOrder, NativeSchedule } from './binding-order.ts';
import { binding } from './load.ts';
import { called } from './native-error.ts';

export interface OrderConfig {
  /** Samples in an epoch; at least 1. */
  readonly count: number;
  /** 0 to 2^53 - 1. */
  readonly seed: number;
  readonly epoch: number;
  /** False: position p is sample p. */
  readonly shuffle: boolean;
}

/**
 * The order of one epoch: a keyed permutation of [0, count) and its inverse, O(1) each (docs/formats.md "Order").
 * Positions and samples are Float64Array: exact up to 2^53, and no BigInt a sample.
 */
export class Order {
  readonly #native: NativeOrder | null;
  readonly count: number;

  constructor(config: OrderConfig) {
    this.count = config.count;
    const { NativeOrder } = binding();
    this.#native = config.shuffle ? called(() => new NativeOrder(config.count, config.seed, config.epoch)) : null;
  }

  /** The samples at positions [position, position + count); a position at or past the end wraps to the start. */
  samples(position: number, count: number): Float64Array {
    const native = this.#native;
    if (native) {
      const samples = new Float64Array(count);
      called(() => native.fill(position, samples));
      return samples;
    }
    return Float64Array.from({ length: count }, (_, i) => (position + i) % this.count);
  }

  /** Where a sample comes in this epoch. */
  positionOf(sample: number): number {
    const native = this.#native;
    return native ? called(() => native.positionOf(sample)) : sample;
  }
}

export interface ScheduleConfig {
  /** Samples in an epoch. */
  readonly count: number;
  /** Samples that all ranks together get in a step. */
  readonly globalBatch: number;
  readonly world: number;
  readonly rank: number;
  readonly dropLast: boolean;
  /** Samples delivered to the whole world so far in this epoch: where the grid of steps begins. */
  readonly position: number;
}

/** What one rank reads in one step: positions [from, from + count), the last `padded` of which repeat other samples. */
export interface Step {
  readonly from: number;
  readonly count: number;
  readonly padded: number;
  /** Of the whole world, before the step and after it. */
  readonly position: number;
  readonly nextPosition: number;
}

/** The steps of one rank through an epoch: every rank gets the same number of steps. */
export class Schedule {
  readonly #native: NativeSchedule;
  readonly #row = new Float64Array(5);

  /** Throws `invalid` for a rank outside the world, an empty batch, or a position past the end. */
  constructor(config: ScheduleConfig) {
    const { NativeSchedule } = binding();
    this.#native = called(() => new NativeSchedule(config));
  }

  /** The next step, or null at the end of the epoch. */
  next(): Step | null {
    if (!called(() => this.#native.next(this.#row))) return null;
    const [from = 0, count = 0, padded = 0, position = 0, nextPosition = 0] = this.#row;
    return { from, count, padded, position, nextPosition };
  }
}
