import { systemClock } from '@millpool/host';

import type { Walk, WalkRequest } from './walk.ts';

const walksMax = 16;
/** How much older the names of a continued listing may be than the call that continues it. */
const idleMs = 10_000;

/**
 * Listings between two of their pages, so that the next page need not read a directory of a million names again. A page
 * that is asked for later, twice, or from elsewhere starts a walk of its own, with the same outcome.
 */
export class SuspendedWalks {
  readonly #walks = new Map<string, { readonly walk: Walk; readonly since: number }>();

  /** Gives each kept walk once. */
  take(where: WalkRequest): Walk | undefined {
    this.#dropIdle();
    const name = nameOf(where);
    const kept = this.#walks.get(name);
    this.#walks.delete(name);
    return kept?.walk;
  }

  keep(where: WalkRequest, walk: Walk): void {
    this.#dropIdle();
    const [oldest] = this.#walks.keys();
    if (this.#walks.size >= walksMax && oldest !== undefined) this.#walks.delete(oldest);
    this.#walks.set(nameOf(where), { walk, since: systemClock.monotonicMs() });
  }

  clear(): void {
    this.#walks.clear();
  }

  #dropIdle(): void {
    const oldestKept = systemClock.monotonicMs() - idleMs;
    for (const [name, { since }] of this.#walks) if (since < oldestKept) this.#walks.delete(name);
  }
}

function nameOf({ prefix, recursive, after }: WalkRequest): string {
  return JSON.stringify([recursive, prefix, after]);
}
