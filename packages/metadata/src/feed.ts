/** Pages of items, taken one by one without awaiting but where a page ends. */
export class Feed<T> {
  readonly #pages: AsyncIterator<readonly T[]>;
  #page: readonly T[] = [];
  #at = 0;
  #ended = false;

  constructor(pages: AsyncIterable<readonly T[]>) {
    this.#pages = pages[Symbol.asyncIterator]();
  }

  /** `fill` must be awaited before `head` means anything. */
  get isDry(): boolean {
    return this.#at >= this.#page.length && !this.#ended;
  }

  /** Null after the last. */
  get head(): T | null {
    return this.#page[this.#at] ?? null;
  }

  pass(): void {
    this.#at += 1;
  }

  async fill(): Promise<void> {
    while (this.isDry) {
      const next = await this.#pages.next();
      this.#ended = next.done === true;
      this.#page = next.done === true ? [] : next.value;
      this.#at = 0;
    }
  }

  /** What gives the pages is let go of. */
  async end(): Promise<void> {
    this.#ended = true;
    await this.#pages.return?.();
  }
}
