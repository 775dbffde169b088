import type { Clock, Timer } from '@millpool/host';

interface Running {
  readonly ttlSeconds: number;
  readonly timer: Timer;
}

/** Calls `expire` for each lease that was not kept in time. Time runs from when `start` was called last. */
export class LeaseTimers {
  readonly #clock: Clock;
  readonly #expire: (lease: number) => void;
  readonly #running = new Map<number, Running>();

  constructor(clock: Clock, expire: (lease: number) => void) {
    this.#clock = clock;
    this.#expire = expire;
  }

  start(lease: number, ttlSeconds: number): void {
    this.stop(lease);
    const timer = this.#clock.after(ttlSeconds * 1_000, () => {
      this.#running.delete(lease);
      this.#expire(lease);
    });
    this.#running.set(lease, { ttlSeconds, timer });
  }

  /** How long a lease lives, null once it expired or was stopped. */
  ttlSecondsOf(lease: number): number | null {
    return this.#running.get(lease)?.ttlSeconds ?? null;
  }

  stop(lease: number): void {
    this.#running.get(lease)?.timer.cancel();
    this.#running.delete(lease);
  }

  stopAll(): void {
    for (const lease of this.#running.keys()) this.stop(lease);
  }
}
