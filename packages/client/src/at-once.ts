/** What is larger is read by a thread; the addon has the same bound for what a batch has in fact. */
const batchBytesMax = 2 << 20;
/** A loop that works longer than this on so many batches in a row has the next ones read meanwhile. */
const workMsMax = 1;
const longMax = 3;
const skippedMax = 256;

/**
 * Whether the next batch is tried at once, on the loop's own thread. That takes a fraction of a millisecond, where
 * handing it to another thread and being woken for it would cost as much as the copy; a loop that computes between
 * batches would rather find them read. A try that fails comes before a longer pause each time.
 */
export class AtOnce {
  readonly #isSmall: boolean;
  #long = 0;
  #skip = 0;
  #left = 0;

  /** By the mean size of a batch. */
  constructor(batchBytes: number) {
    this.#isSmall = batchBytes <= batchBytesMax;
  }

  get serves(): boolean {
    return this.#isSmall && this.#long < longMax && this.#left === 0;
  }

  /** How long the loop worked on its last batch. */
  worked(ms: number): void {
    this.#long = ms > workMsMax ? this.#long + 1 : 0;
  }

  succeeded(): void {
    this.#skip = 0;
  }

  failed(): void {
    this.#skip = Math.min(skippedMax, Math.max(4, 2 * this.#skip));
    this.#left = this.#skip;
  }

  /** A batch came another way. */
  passed(): void {
    this.#left = Math.max(0, this.#left - 1);
  }
}
