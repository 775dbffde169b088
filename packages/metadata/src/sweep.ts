import type { Partitions } from './partitions.ts';
import type { MetadataStore } from './store/environment.ts';
import { allDirectories, allMarked, attachmentOfKey, directoryOfKey, markedKey, runRange, runs } from './store/keys.ts';
import { decodeDirectory } from './store/records.ts';

const recordsAtOnce = 1_000;

/**
 * Removes what is stored of attachments that are no more, whichever node detached them, and whether this one was there
 * or not. Their ids are never used again, so it is in nobody's way: it is done in the background, and a sweep that was
 * cut off goes on at the next start.
 */
export class Sweep {
  readonly #store: MetadataStore;
  readonly #partitions: Partitions;
  #stopped = false;
  #underWay: Promise<void> = Promise.resolve();

  constructor(store: MetadataStore, partitions: Partitions) {
    this.#store = store;
    this.#partitions = partitions;
  }

  /** Sweeps once `idle` has ended: what the attachments' last listings wrote is swept too. Never rejects. */
  start(idle: Promise<void>, attached: () => Iterable<number>, onError: (error: unknown) => void): Promise<void> {
    this.#underWay = this.#underWay
      .then(() => idle)
      .then(() => this.#sweep(new Set(attached())))
      .catch(onError);
    return this.#underWay;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#underWay;
  }

  async #sweep(attached: ReadonlySet<number>): Promise<void> {
    if (this.#stopped) return;
    const marked = new Set(
      this.#store.first(allMarked, Number.MAX_SAFE_INTEGER).map(({ key }) => attachmentOfKey(key)),
    );
    const made = [...attached].filter((id) => !marked.has(id));
    if (made.length > 0) await this.#store.write(made.map((id) => ({ key: markedKey(id), value: Buffer.alloc(0) })));
    const gone = new Set([...marked].filter((id) => !attached.has(id)));
    if (gone.size === 0) return;
    for (const chunk of this.#store.chunks(allDirectories, recordsAtOnce)) {
      if (this.#stopped) return;
      for (const { key, value } of chunk) {
        if (gone.has(decodeDirectory(value).attachment)) await this.#drop(key);
      }
    }
    await this.#store.write([...gone].map((id) => ({ key: markedKey(id), value: null })));
  }

  async #drop(key: Buffer): Promise<void> {
    const directory = directoryOfKey(key);
    await this.#partitions.clear(directory);
    for (const run of Object.values(runs)) await this.#store.clear(runRange(directory, run));
    await this.#store.write([{ key, value: null }]);
  }
}
