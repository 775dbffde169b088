import type { MillpoolError } from '@millpool/protocol';

import type { NativeFetch, NativeFetchProgress } from './binding.ts';
import { called, errorOf, settled } from './native-error.ts';

/** Counted in whole objects and in bytes; `fetched…` came from the source, at least in part; the rest was resident. */
export type FetchProgress = NativeFetchProgress;

export interface FetchFailure {
  /** Of the object in the list, or of the sample in the array. */
  readonly index: number;
  readonly error: MillpoolError;
}

/** A fetch under way. It goes on, with a bounded number of records at once, until all are answered or cancelled. */
export class Fetch {
  readonly #native: NativeFetch;
  /** Resolves when nothing more is under way, also after failures and after `cancel`; never rejects but on a fault. */
  readonly done: Promise<FetchProgress>;

  constructor(native: NativeFetch) {
    this.#native = native;
    this.done = settled(() => native.finished());
  }

  progress(): FetchProgress {
    return called(() => this.#native.progress());
  }

  /** The first 1,000; `progress().failureCount` counts them all. */
  failures(): readonly FetchFailure[] {
    const rows = called(() => this.#native.failures());
    return rows.map(({ index, code, message }) => ({ index, error: errorOf(code, message) }));
  }

  /** Asks for nothing more; what is under way ends by itself. */
  cancel(): void {
    this.#native.cancel();
  }
}
