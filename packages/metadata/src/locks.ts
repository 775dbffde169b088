/** Held by one at a time, by name; who waits gets it in the order of asking. */
export class Locks {
  readonly #last = new Map<string, Promise<void>>();

  /** Resolves when the lock is held, with what gives it back. */
  async acquire(name: string): Promise<() => void> {
    const before = this.#last.get(name);
    let release: () => void = () => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    this.#last.set(name, released);
    await before;
    return () => {
      if (this.#last.get(name) === released) this.#last.delete(name);
      release();
    };
  }

  async hold<T>(name: string, work: () => Promise<T>): Promise<T> {
    const release = await this.acquire(name);
    try {
      return await work();
    } finally {
      release();
    }
  }
}
