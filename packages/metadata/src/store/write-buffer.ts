import type { MetadataStore, Write } from './environment.ts';

const writesAtOnce = 8_192;

/** Writes that wait for company: sorted transactions of thousands cost a tenth of small ones. */
export class WriteBuffer {
  readonly #store: MetadataStore;
  #writes: Write[] = [];
  #onFlushed: (() => void)[] = [];

  constructor(store: MetadataStore) {
    this.#store = store;
  }

  /** What is added between two calls of `settle` or `flush` is of one transaction. */
  add(write: Write): void {
    this.#writes.push(write);
  }

  /** Called once what was added so far is on disk, or could not be written. */
  whenFlushed(call: () => void): void {
    this.#onFlushed.push(call);
  }

  async settle(): Promise<void> {
    if (this.#writes.length >= writesAtOnce) await this.flush();
  }

  async flush(): Promise<void> {
    const writes = this.#writes;
    const calls = this.#onFlushed;
    this.#writes = [];
    this.#onFlushed = [];
    try {
      await this.#store.write(writes);
    } finally {
      for (const call of calls) call();
    }
  }
}
