import type { Batch as NativeBatch } from '@millpool/native';

/** Batches read ahead of the loop when nothing else is said: enough to hide a gather, few enough to hold little. */
const autoPrefetchBatches = 4;
/** A call that reads less than this costs more to hand to a thread and back than it does. */
const runMs = 1;
const batchesMax = 8;
/** Read ahead of a loop that is at times faster than its device. */
const aheadMax = 16;
/** Of the ring, for what is read ahead: a loop holds batches, and other loops read. */
const ringShare = 0.25;
/** Slots are multiples of it. */
const slotBytes = 2 << 20;

/**
 * How many batches one call reads, and how many are under way at once. One and as many as were asked for, until a batch
 * was read from memory in a fraction of a millisecond: then handing each of them to a thread, and waking the loop for
 * it, would cost as much as reading it. A batch that had to wait for anything ends that.
 *
 * A loop that takes its time for some steps and waits for the device at others (a checkpoint, a validation) is read
 * further ahead, each time that it waits again. One that always waits gains nothing by it: its device is busy anyway.
 */
export class RunLength {
  readonly #prefetchBatches: number | null;
  readonly #ringBytes: number;
  #batches = 1;
  #ahead = autoPrefetchBatches;
  /** Some batch was there before the loop asked for it. */
  #wasEarly = false;

  constructor(prefetchBatches: number | null, ringBytes: number) {
    this.#prefetchBatches = prefetchBatches;
    this.#ringBytes = ringBytes;
  }

  /** Batches a call. */
  get batches(): number {
    return this.#batches;
  }

  /** Under way or ready: two calls, so that one is read while the other's are used. */
  get aheadBatches(): number {
    return this.#prefetchBatches ?? Math.max(this.#ahead, 2 * this.#batches);
  }

  /** `isLate`: after the loop had asked for it. */
  came(batch: Pick<NativeBatch, 'length' | 'hits' | 'bytes' | 'waits'>, isLate: boolean): void {
    const { gatherNs, queueNs, deviceNs, sourceNs, peerNs } = batch.waits;
    const slots = (this.#ringBytes * ringShare) / (Math.ceil(batch.bytes / slotBytes) * slotBytes);
    if (!isLate) this.#wasEarly = true;
    else if (this.#wasEarly && deviceNs > 0 && batch.hits === batch.length) {
      this.#wasEarly = false;
      this.#ahead = Math.max(this.#ahead, Math.min(2 * this.#ahead, aheadMax, Math.floor(slots)));
    }
    if (deviceNs + sourceNs + peerNs > 0 || batch.hits < batch.length) {
      this.#batches = 1;
      return;
    }
    const most = Math.min(batchesMax, Math.floor(slots / 2), this.#mostAsked);
    const fitting = Math.floor(runMs / ((gatherNs + queueNs) / 1e6));
    this.#batches = Math.max(1, Math.min(most, fitting, 2 * this.#batches));
  }

  get #mostAsked(): number {
    return this.#prefetchBatches === null ? batchesMax : Math.floor(this.#prefetchBatches / 2);
  }
}
