import type { Clock, Log } from '@millpool/host';

import { whyTableFull } from './admission.ts';

/** A table that had room for less than this has filled up again: that was said. */
const saidForMs = 600_000;

/** Says in the log that the key table is full, and what to do: once, also where it fills up and is freed by turns. */
export class TableWatch {
  readonly #clock: Clock;
  readonly #log: Log;
  #fullMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock, log: Log) {
    this.#clock = clock;
    this.#log = log;
  }

  look(isFull: boolean): void {
    if (!isFull) return;
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - this.#fullMs > saidForMs) this.#log.warn(whyTableFull);
    this.#fullMs = nowMs;
  }
}
