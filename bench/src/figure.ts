import type { Comparison } from './pairs.ts';

/** What a figure is given. */
export interface Bench {
  /** Progress, for people. */
  readonly say: (text: string) => void;
  readonly signal: AbortSignal;
}

/** One row of the table. Ids never change their meaning. */
export interface Result extends Comparison {
  readonly id: string;
  readonly variant: string;
  /** What it was held against, and how that was chosen. */
  readonly referenceName: string;
  /** Of `ours` and `reference`. */
  readonly unit: string;
  readonly goal: number | null;
  readonly higherIsBetter: true;
  /** Absolute numbers that were taken on the way. */
  readonly beside?: readonly Beside[];
}

/** What a figure tells beside its ratio. */
export interface Beside {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
}

/** A figure that this machine cannot measure, and why, in one line. */
export interface NotRun {
  readonly id: string;
  readonly why: string;
}

export type Outcome = Result | NotRun;

export interface Figure {
  readonly id: string;
  /** One line for `--help`. */
  readonly measures: string;
  /** Yields each variant as soon as it is there. */
  measure(bench: Bench): AsyncGenerator<Outcome>;
}

export function hasRun(outcome: Outcome): outcome is Result {
  return 'ratio' in outcome;
}
