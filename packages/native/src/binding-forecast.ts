// What the addon takes and gives of reads that are to come (`native/node/src/forecast.rs`), as `binding.ts` has it.

/** Ranks of one job that read a dataset version here, at the same place or nearly. */
export interface NativeJobAhead {
  readonly seed: number;
  readonly epoch: number;
  readonly shuffle: boolean;
  readonly dropLast: boolean;
  readonly globalBatch: number;
  readonly world: number;
  readonly ranks: readonly number[];
  /** Where the grid of steps of `epoch` begins. */
  readonly begunAt: number;
  readonly position: number;
  /** Positions in a unit of time, the same for all jobs. */
  readonly pace: number;
}

/** On which terms samples that a job reads next are kept. */
export interface NativeKeepTerms {
  readonly jobs: readonly NativeJobAhead[];
  /** Which of them reads, and in which epoch. */
  readonly job: number;
  readonly epoch: number;
  /** What a byte of them has to be worth from then on (`NativeSegmentWorth`). */
  readonly bar: number;
}

export interface NativeSegmentWorth {
  readonly number: number;
  readonly generation: number;
  /** The sum of its bytes, each over the time until it is read. */
  readonly worth: number;
}
