import type { Receipt } from '@millpool/native';

/** What clients said they read, since the daemon started. */
export class ReadTally {
  readonly #weak = new Set<number>();
  #samples = 0;
  #hitSamples = 0;
  #bytes = 0;

  receipts(receipts: readonly Receipt[]): void {
    for (const { samples, hitSamples, bytes } of receipts) {
      this.#samples += samples;
      this.#hitSamples += hitSamples;
      this.#bytes += bytes;
    }
  }

  /** An attachment was seen to hold a file without an etag. */
  sawWeak(attachment: number): void {
    this.#weak.add(attachment);
  }

  weak(attachment: number): boolean {
    return this.#weak.has(attachment);
  }

  get samples(): number {
    return this.#samples;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Found in segments, fetched ahead or not. */
  get hitSamples(): number {
    return this.#hitSamples;
  }
}
