import type { Partitions } from './partitions.ts';
import type { MetadataStore } from './store/environment.ts';
import {
  allDetached,
  allDirectories,
  attachmentOfKey,
  detachedKey,
  directoryOfKey,
  runRange,
  runs,
} from './store/keys.ts';
import { decodeDirectory } from './store/records.ts';

const directoriesAtOnce = 1_000;

/**
 * Removes what is stored of attachments that were detached. Their ids are never used again, so it is in nobody's way:
 * it is done in the background, and a sweep that was cut off goes on at the next start.
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

  async detached(attachment: number): Promise<void> {
    await this.#store.write([{ key: detachedKey(attachment), value: Buffer.alloc(0) }]);
  }

  /** Sweeps once `idle` has ended: what the attachments' last listings wrote is swept too. */
  start(idle: Promise<void>, onError: (error: unknown) => void): void {
    this.#underWay = this.#underWay
      .then(() => idle)
      .then(() => this.#sweep())
      .catch(onError);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#underWay;
  }

  async #sweep(): Promise<void> {
    const gone = new Set(this.#store.first(allDetached, directoriesAtOnce).map(({ key }) => attachmentOfKey(key)));
    if (gone.size === 0) return;
    for (const chunk of this.#store.chunks(allDirectories, directoriesAtOnce)) {
      if (this.#stopped) return;
      for (const { key, value } of chunk) {
        if (gone.has(decodeDirectory(value).attachment)) await this.#drop(key);
      }
    }
    await this.#store.write([...gone].map((attachment) => ({ key: detachedKey(attachment), value: null })));
  }

  async #drop(key: Buffer): Promise<void> {
    const directory = directoryOfKey(key);
    await this.#partitions.clear(directory);
    for (const run of Object.values(runs)) await this.#store.clear(runRange(directory, run));
    await this.#store.write([{ key, value: null }]);
  }
}
