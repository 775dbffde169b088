import { abortError } from '@millpool/host';

/**
 * Turns of the event loop, for work that is cut into slices: one slice a turn, in the order in which they were asked
 * for, whoever they are of. What else the process has to answer is answered between them.
 */
export class Turns {
  readonly #waiting: (() => void)[] = [];

  /** Rejects with the signal's error where that has aborted by then. */
  next(signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push(() => (signal?.aborted === true ? reject(abortError(signal)) : resolve()));
      if (this.#waiting.length === 1) this.#soon();
    });
  }

  #soon(): void {
    setImmediate(() => {
      this.#waiting.shift()?.();
      if (this.#waiting.length > 0) this.#soon();
    });
  }
}
