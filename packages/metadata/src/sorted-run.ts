import type { MetadataStore, Write } from './store/environment.ts';
import { nameAt, named, runPrefix, runRange, successorOf } from './store/keys.ts';
import type { DirectoryName, EntryClass, Run } from './store/keys.ts';

export interface RunItem {
  readonly name: Buffer;
  readonly value: Buffer;
}

/** What is kept in memory, of one run. */
const itemsInMemoryMax = 16_384;
const itemsPerChunk = 4_096;

/**
 * Items of one directory that come in any order and are read back sorted by class and name: in memory while they are
 * few, in the store when they are many. Of one name the last item holds.
 */
export class SortedRun {
  readonly #store: MetadataStore;
  readonly #directory: DirectoryName;
  readonly #run: Run;
  readonly #items = new Map<EntryClass, RunItem[]>();
  #count = 0;
  #spilled = false;

  constructor(store: MetadataStore, directory: DirectoryName, run: Run) {
    this.#store = store;
    this.#directory = directory;
    this.#run = run;
  }

  /** True once anything of it is in the store. */
  get spilled(): boolean {
    return this.#spilled;
  }

  get isEmpty(): boolean {
    return !this.#spilled && this.#count === 0;
  }

  has(kind: EntryClass): boolean {
    return this.#spilled || (this.#items.get(kind)?.length ?? 0) > 0;
  }

  add(kind: EntryClass, item: RunItem): void {
    const items = this.#items.get(kind);
    if (items === undefined) this.#items.set(kind, [item]);
    else items.push(item);
    this.#count += 1;
  }

  /** To be spilled. */
  get isFull(): boolean {
    return this.#count > itemsInMemoryMax;
  }

  /** To be called now and then while adding; memory is bounded by what is added between two calls. */
  async settle(): Promise<void> {
    if (this.isFull) await this.spill();
  }

  /** All of it into the store, on disk. */
  async spill(): Promise<void> {
    const writes: Write[] = [];
    for (const [kind, items] of this.#items) {
      const prefix = runPrefix(this.#directory, this.#run, kind);
      for (const { name, value } of items) writes.push({ key: named(prefix, name), value });
    }
    this.#items.clear();
    this.#count = 0;
    this.#spilled = true;
    await this.#store.write(writes);
  }

  /** Chunks of one class in the order of their names; when it has spilled, settle it whole first. */
  *chunks(kind: EntryClass): Generator<readonly RunItem[]> {
    if (!this.#spilled) {
      const items = this.#items.get(kind) ?? [];
      items.sort((left, right) => left.name.compare(right.name));
      yield items.filter((item, at) => items[at + 1]?.name.equals(item.name) !== true);
      return;
    }
    const start = runPrefix(this.#directory, this.#run, kind);
    for (const chunk of this.#store.chunks({ start, end: successorOf(start) }, itemsPerChunk)) {
      yield chunk.map(({ key, value }) => ({ name: key.subarray(nameAt), value }));
    }
  }

  async clear(): Promise<void> {
    this.#items.clear();
    this.#count = 0;
    if (this.#spilled) await this.#store.clear(runRange(this.#directory, this.#run));
    this.#spilled = false;
  }

  /** What was left of it in the store by a process that ended. */
  static stored(store: MetadataStore, directory: DirectoryName, run: Run): SortedRun {
    const left = new SortedRun(store, directory, run);
    left.#spilled = true;
    return left;
  }
}
