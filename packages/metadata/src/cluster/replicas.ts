import type { Clock } from '@millpool/host';

import type { LookupResult } from '../resolved-entry.ts';

/** More hot entries than this has no cluster; those that were kept first go first. */
const replicasMax = 1_024;

interface Replica {
  readonly attachment: number;
  readonly result: LookupResult;
  readonly freshUntilMs: number;
}

/**
 * What owners answered for entries that many nodes look up and that have replicas: an answer is given again as long as
 * it is fresh, counted on this node's clock from when it was asked for.
 */
export class Replicas {
  readonly #clock: Clock;
  /** By path. */
  readonly #kept = new Map<string, Replica>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Null where it is to be asked for. */
  get(path: string, attachment: number): LookupResult | null {
    const replica = this.#kept.get(path);
    if (replica === undefined) return null;
    if (replica.attachment === attachment && this.#clock.monotonicMs() <= replica.freshUntilMs) return replica.result;
    this.#kept.delete(path);
    return null;
  }

  keep(path: string, replica: Replica): void {
    this.#kept.delete(path);
    this.#kept.set(path, replica);
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > replicasMax && oldest !== undefined) this.#kept.delete(oldest);
  }
}
