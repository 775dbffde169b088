/**
 * What copying may write: a share of what was fetched from sources since the daemon started, kept or not. So the
 * devices write at most 1 + share times what is fetched, and a copy never comes in the way of a load that is more than
 * 1 / share times as large. Fetched bytes that were not kept count too: a full cache without a free segment keeps
 * nothing, and that is when room has to be won back. What is not used is saved, up to that share of the cache.
 */
export class WriteBudget {
  readonly #share: number;
  #fetchedBytes = 0;
  #leftBytes = 0;

  constructor(share: number) {
    this.#share = share;
  }

  get leftBytes(): number {
    return this.#leftBytes;
  }

  /** `fetchedBytes` of sources so far, for a cache of `capacityBytes`. */
  earn(fetchedBytes: number, capacityBytes: number): void {
    const earned = this.#share * (fetchedBytes - this.#fetchedBytes);
    this.#fetchedBytes = fetchedBytes;
    this.#leftBytes = Math.min(this.#leftBytes + earned, this.#share * capacityBytes);
  }

  spend(bytes: number): void {
    this.#leftBytes = Math.max(0, this.#leftBytes - bytes);
  }
}
