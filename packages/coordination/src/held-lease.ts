import { asMillpoolError } from '@millpool/protocol';
import { withDeadline } from '@millpool/host';
import type { Clock, Log } from '@millpool/host';

import type { CoordStore } from './store.ts';

/** After an attempt to keep a lease that came to nothing. */
const retryMs = 100;

export interface LeaseTimes {
  /** The store's patience. */
  readonly ttlSeconds: number;
  /** The holder's own: it acts on the lease no longer than this after its last keepalive left. */
  readonly actSeconds: number;
  readonly keepEverySeconds: number;
}

interface Parts {
  readonly store: CoordStore;
  readonly clock: Clock;
  readonly log: Log;
  readonly times: LeaseTimes;
}

/**
 * A lease that is kept, and whether its holder may act on it. The holder counts from when a keepalive that was answered
 * was sent, the store from when it came: so the holder stops first, as long as their clocks gain less on each other
 * than `ttlSeconds` is more than `actSeconds`.
 */
export class HeldLease {
  readonly id: number;
  readonly #parts: Parts;
  readonly #lost = new AbortController();
  #keptMs: number;

  private constructor(id: number, sentMs: number, parts: Parts) {
    this.id = id;
    this.#keptMs = sentMs;
    this.#parts = parts;
    void this.#keep();
  }

  static async grant(parts: Parts): Promise<HeldLease> {
    const { store, clock, times } = parts;
    const sentMs = clock.bootMs();
    const wait = { name: 'a lease of the coordination store', timeoutMs: times.actSeconds * 1_000, clock };
    const { id } = await withDeadline(wait, () => store.grantLease(times.ttlSeconds));
    return new HeldLease(id, sentMs, parts);
  }

  /** Whether the store keeps it for certain, now. To be asked again just before an answer that rests on it leaves. */
  get isClearlyAlive(): boolean {
    const { clock, times } = this.#parts;
    return !this.#lost.signal.aborted && clock.bootMs() - this.#keptMs < times.actSeconds * 1_000;
  }

  /** Aborts when it has ended, by whatever. It may have ended at the store long before. */
  get ended(): AbortSignal {
    return this.#lost.signal;
  }

  /** Ends it, at the store too if that can be reached. */
  async release(): Promise<void> {
    if (this.#lost.signal.aborted) return;
    this.#lost.abort();
    const { store, clock, times } = this.#parts;
    const wait = { name: 'the end of a lease', timeoutMs: times.actSeconds * 1_000, clock };
    // One that cannot be told ends it by itself.
    await withDeadline(wait, () => store.revokeLease(this.id)).catch(() => undefined);
  }

  async #keep(): Promise<void> {
    const { store, clock, times, log } = this.#parts;
    const lostAfterMs = times.ttlSeconds * 1_000;
    const wait = { name: 'a lease to be kept', timeoutMs: times.keepEverySeconds * 1_000, clock };
    for (let pauseMs = times.keepEverySeconds * 1_000; ;) {
      await clock.sleep(pauseMs, this.#lost.signal).catch(() => undefined);
      if (this.#lost.signal.aborted) return;
      const sentMs = clock.bootMs();
      try {
        await withDeadline(wait, () => store.keepLease(this.id));
        this.#keptMs = Math.max(this.#keptMs, sentMs);
        pauseMs = times.keepEverySeconds * 1_000;
      } catch (error) {
        const { code } = asMillpoolError(error);
        const isOver = code === 'not-found' || code === 'closed' || clock.bootMs() - this.#keptMs >= lostAfterMs;
        if (isOver) this.#lost.abort(error);
        log.warn(isOver ? 'a lease is lost' : 'a lease was not kept', { lease: this.id, error });
        pauseMs = retryMs;
      }
    }
  }
}
