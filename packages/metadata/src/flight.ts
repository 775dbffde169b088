import { unlessAborted } from '@millpool/host';

/** Told how many files a listing has so far. */
export type OnListed = (files: number) => void;

/** A listing under way, for all who wait for it. It goes on when they give up. */
export class Flight {
  readonly #ended: Promise<void>;
  readonly #watchers = new Set<OnListed>();

  constructor(list: (tell: OnListed) => Promise<void>) {
    this.#ended = list((files) => {
      for (const watcher of this.#watchers) watcher(files);
    });
    this.#ended.catch(() => {});
  }

  get ended(): Promise<void> {
    return this.#ended;
  }

  async wait(signal: AbortSignal, onListed?: OnListed): Promise<void> {
    // One of its own: the same caller may wait twice.
    const watcher: OnListed = (files) => onListed?.(files);
    this.#watchers.add(watcher);
    try {
      await unlessAborted(signal, this.#ended);
    } finally {
      this.#watchers.delete(watcher);
    }
  }
}
