import type { Entry } from '@millpool/protocol';

/** A page that has anything is given when it took so long, wherever it ends. */
const pageMs = 50;

/** What comes for one page of a listing; it is full with so many entries, or after a while with any. */
export class Page {
  readonly entries: Entry[] = [];
  readonly #limit: number;
  readonly #nowMs: () => number;
  readonly #endMs: number;

  constructor(limit: number, nowMs: () => number) {
    this.#limit = limit;
    this.#nowMs = nowMs;
    this.#endMs = nowMs() + pageMs;
  }

  /** Entries that it has room for. */
  get room(): number {
    return this.#limit - this.entries.length;
  }

  get isFull(): boolean {
    return this.room === 0 || (this.entries.length > 0 && this.#nowMs() >= this.#endMs);
  }
}
