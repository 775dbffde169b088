/** Of the addon's exports, those of order.ts. */
export interface NativeOrder {
  /** The samples from a position on, as many as there is room for. */
  fill(position: number, samples: Float64Array): void;
  positionOf(sample: number): number;
}

export interface NativeScheduleConfig {
  readonly count: number;
  readonly globalBatch: number;
  readonly world: number;
  readonly rank: number;
  readonly dropLast: boolean;
  readonly position: number;
}

export interface NativeSchedule {
  /** Whether there is a next step: then `row` gets its from, count, padded, position and next position. */
  next(row: Float64Array): boolean;
}
