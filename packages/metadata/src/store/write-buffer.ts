import type { MetadataStore, Write } from './environment.ts';

const writesAtOnce = 8_192;
const bytesAtOnce = 4 << 20;

/**
 * Writes that wait for company: sorted transactions of thousands cost a tenth of small ones. One transaction is under
 * way while the next one is filled; they come to disk in the order of adding, and after one that failed none does.
 */
export class WriteBuffer {
  readonly #store: MetadataStore;
  #writes: Write[] = [];
  #bytes = 0;
  #onFlushed: (() => void)[] = [];
  #underWay: Promise<void> = Promise.resolve();
  #failure: { readonly error: unknown } | null = null;

  constructor(store: MetadataStore) {
    this.#store = store;
  }

  /** What is added between two calls of `settle` or `flush` is of one transaction. */
  add(write: Write): void {
    this.#writes.push(write);
    this.#bytes += write.value?.length ?? 0;
  }

  /** Called once what was added so far is on disk, or could not be written. */
  whenFlushed(call: () => void): void {
    this.#onFlushed.push(call);
  }

  /** Begins to write what has become much; waits only for the transaction before. */
  async settle(): Promise<void> {
    if (this.#writes.length < writesAtOnce && this.#bytes < bytesAtOnce) return;
    await this.#underWay;
    this.#begin();
    this.#check();
  }

  /** Rejects too where a transaction failed that `settle` began. */
  async flush(): Promise<void> {
    await this.#underWay;
    this.#begin();
    await this.#underWay;
    this.#check();
  }

  #begin(): void {
    const [writes, calls] = [this.#writes, this.#onFlushed];
    this.#writes = [];
    this.#bytes = 0;
    this.#onFlushed = [];
    this.#underWay = this.#write(writes).finally(() => {
      for (const call of calls) call();
    });
  }

  async #write(writes: readonly Write[]): Promise<void> {
    if (this.#failure !== null) return;
    try {
      await this.#store.write(writes);
    } catch (error) {
      this.#failure = { error };
    }
  }

  #check(): void {
    if (this.#failure !== null) throw this.#failure.error;
  }
}
