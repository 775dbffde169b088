/** A page that has anything is given when it took so long, wherever it ends. */
const pageMs = 50;

/** When a page of a listing is full: with so many entries, or after a while with any. */
export class PageEnd {
  readonly #limit: number;
  readonly #nowMs: () => number;
  readonly #endMs: number;

  constructor(limit: number, nowMs: () => number) {
    this.#limit = limit;
    this.#nowMs = nowMs;
    this.#endMs = nowMs() + pageMs;
  }

  /** Entries that a page of so many has room for. */
  room(count: number): number {
    return this.#limit - count;
  }

  isFull(count: number): boolean {
    return count === this.#limit || (count > 0 && this.#nowMs() >= this.#endMs);
  }
}
