import { classOf } from './entries.ts';
import { directoryKey, entryClasses } from './store/keys.ts';
import { encodeDirectory, encodeEntry } from './store/records.ts';
import type { DirectoryRecord, EntryRecord } from './store/records.ts';
import type { ListedTimes, Shelf, Update, UpdateRequest } from './update.ts';

/**
 * The first listing of a directory goes straight to its partitions: nobody reads them before its record says
 * `complete`. Partitions are split as they grow, so that names lie sorted in the partitions where they stay.
 */
export class FirstListing implements Update {
  readonly #shelf: Shelf;
  readonly #request: UpdateRequest;
  readonly #counts = new Map<number, number>();
  #hasOddFiles = false;
  #hasDirectories = false;

  private constructor(shelf: Shelf, request: UpdateRequest) {
    this.#shelf = shelf;
    this.#request = request;
  }

  static async begin(shelf: Shelf, request: UpdateRequest): Promise<FirstListing> {
    const listing = new FirstListing(shelf, request);
    const { directory, former, buffer } = request;
    if (former !== null) await shelf.partitions.clear(directory);
    buffer.add({ key: directoryKey(directory), value: encodeDirectory(listing.#record('listing', noTimes)) });
    return listing;
  }

  add(name: string, entry: EntryRecord): void {
    const kind = classOf(entry.type, name);
    if (kind === entryClasses.oddFile) this.#hasOddFiles = true;
    if (kind === entryClasses.directory) this.#hasDirectories = true;
    const { key, partition } = this.#shelf.partitions.keyOf(this.#request.directory, kind, Buffer.from(name));
    this.#request.buffer.add({ key, value: encodeEntry(entry) });
    this.#counts.set(partition, (this.#counts.get(partition) ?? 0) + 1);
  }

  async settle(): Promise<void> {
    const { buffer } = this.#request;
    for (const count of this.#counts.values()) {
      if (count > this.#shelf.partitions.namesMax) return this.#split();
    }
    await buffer.settle();
  }

  async finish(times: ListedTimes): Promise<readonly string[]> {
    const { buffer, directory } = this.#request;
    await this.settle();
    this.#addCounts();
    buffer.add({ key: directoryKey(directory), value: encodeDirectory(this.#record('complete', times)) });
    await buffer.settle();
    return [];
  }

  async abandon(): Promise<void> {
    // What reached the disk is under a record that says `listing`; the next listing clears it.
  }

  async #split(): Promise<void> {
    const { directory, buffer } = this.#request;
    this.#addCounts();
    await buffer.flush();
    await this.#shelf.partitions.splitLarge(directory);
    this.#counts.clear();
    this.#shelf.partitions.mapOf(directory).shards.forEach((shard, partition) => {
      if (shard !== undefined) this.#counts.set(partition, this.#shelf.partitions.countOf(directory, partition));
    });
  }

  #addCounts(): void {
    const { directory, buffer } = this.#request;
    for (const [partition, count] of this.#counts) {
      buffer.add(this.#shelf.partitions.countWrite(directory, partition, count));
    }
  }

  #record(state: DirectoryRecord['state'], times: ListedTimes): DirectoryRecord {
    const { attachment, prefix } = this.#request.directory;
    const generation = state === 'complete' ? (this.#request.former?.generation ?? 0) + 1 : 0;
    const classes = { hasOddFiles: this.#hasOddFiles, hasDirectories: this.#hasDirectories };
    return { state, generation, ...times, ...classes, attachment, prefix };
  }
}

const noTimes: ListedTimes = { listedAtMs: 0, subtreeListedAtMs: 0 };
