import { abortError } from '@millpool/host';
import type { Clock } from '@millpool/host';

const sliceMsMin = 1;
/** Half of the time, as long as nobody waits much longer for it; an eighth of a long wait. */
const halfMsMax = 50;
const shareMax = 1 / 8;
const sliceMsMax = 250;

/**
 * Turns of the event loop, for work that is cut into slices: one slice a turn, in the order in which they were asked
 * for, whoever they are of. What else the process has to answer is answered between them.
 */
export class Turns {
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #waiting: (() => void)[] = [];
  /** When the last slice began, and how long it was to take. */
  #beganMs = 0;
  #sliceMs = 0;

  constructor(clock: Pick<Clock, 'monotonicMs'>) {
    this.#clock = clock;
  }

  /**
   * How long the slice may take, in ms: as long as all else took since the last one, so that slices get their part of
   * the time however much there is to answer; within limits. Rejects with the signal's error where that has aborted.
   */
  next(signal?: AbortSignal): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#waiting.push(() => (signal?.aborted === true ? reject(abortError(signal)) : resolve(this.#begin())));
      if (this.#waiting.length === 1) this.#soon();
    });
  }

  #begin(): number {
    const nowMs = this.#clock.monotonicMs();
    const elseMs = nowMs - this.#beganMs - this.#sliceMs;
    this.#beganMs = nowMs;
    this.#sliceMs = sliceMsAfter(elseMs);
    return this.#sliceMs;
  }

  #soon(): void {
    setImmediate(() => {
      this.#waiting.shift()?.();
      if (this.#waiting.length > 0) this.#soon();
    });
  }
}

/** How long a slice may take after all else took so long. */
export function sliceMsAfter(elseMs: number): number {
  return Math.max(sliceMsMin, Math.min(elseMs, Math.max(halfMsMax, shareMax * elseMs), sliceMsMax));
}
