import { nameOfBytes } from '@millpool/protocol';
import type { SourceFiles } from '@millpool/under-storage';

import { copiedEntries, lastNameOf } from './copied-block.ts';
import { isPlainBytes } from './directory.ts';
import { classOf } from './entries.ts';
import { partitionsOf } from './partition-map.ts';
import { PartitionWriters } from './partition-writers.ts';
import { SortedRun } from './sorted-run.ts';
import { directoryEntry, fileEntry } from './source-pages.ts';
import { directoryKey, entryClasses, runs } from './store/keys.ts';
import type { EntryClass } from './store/keys.ts';
import { encodeDirectory, encodeEntry } from './store/records.ts';
import type { DirectoryRecord, EntryRecord } from './store/records.ts';
import type { ListedTimes, Shelf, Update, UpdateRequest } from './update.ts';

/**
 * The first listing of a directory goes straight to its partitions: nobody reads them before its record says
 * `complete`. Plain files come in their order, so each block is written once, full; what comes in another order is
 * sorted in a run first. When a partition has too many names, all of them are shared out at once to many more, so that
 * most names are written where they stay.
 */
export class FirstListing implements Update {
  readonly #shelf: Shelf;
  readonly #request: UpdateRequest;
  readonly #unordered: SortedRun;
  #writers: PartitionWriters;
  /** Of names that `#writers` has not counted. */
  #counts = new Map<number, number>();
  #canSpread = true;

  private constructor(shelf: Shelf, request: UpdateRequest) {
    this.#shelf = shelf;
    this.#request = request;
    this.#unordered = new SortedRun(shelf.store, request.directory, runs.unordered);
    this.#writers = this.#newWriters();
  }

  static async begin(shelf: Shelf, request: UpdateRequest): Promise<FirstListing> {
    const { directory, former, buffer } = request;
    if (former !== null) {
      await shelf.partitions.clear(directory);
      await SortedRun.stored(shelf.store, directory, runs.unordered).clear();
    }
    const listing = new FirstListing(shelf, request);
    buffer.add({ key: directoryKey(directory), value: encodeDirectory(listing.#record('listing', noTimes)) });
    return listing;
  }

  addFile(bytes: Uint8Array, entry: EntryRecord): void {
    if (isPlainBytes(bytes)) this.#writers.add(entryClasses.plainFile, bytes, encodeEntry(entry));
    else this.#add(nameOfBytes(bytes), entry);
  }

  addFiles(files: SourceFiles): void {
    const { length } = this.#request.directory.prefix;
    for (let rest = files; ;) {
      rest = this.#writers.addFiles(rest, length);
      if (rest.length === 0) return;
      const odd = rest.at(0);
      this.#add(nameOfBytes(odd.key.subarray(length)), fileEntry(odd));
      rest = rest.slice(1);
    }
  }

  addDirectory(name: string): void {
    this.#add(name, directoryEntry);
  }

  addBlock(kind: EntryClass, block: Buffer, after: Uint8Array): Buffer {
    if (kind === entryClasses.plainFile) return this.#writers.addBlock(kind, block, after);
    const entries = copiedEntries(kind, block, after);
    for (const entry of entries) this.#unordered.add(kind, entry);
    return lastNameOf(entries);
  }

  async settle(): Promise<void> {
    const { buffer } = this.#request;
    // A run that is found after a crash needs the record that says whose it is.
    if (this.#unordered.isFull) {
      await buffer.flush();
      await this.#unordered.spill();
    }
    await this.#settleWriters();
  }

  async finish(times: ListedTimes): Promise<readonly string[]> {
    const { buffer, directory } = this.#request;
    const { oddFile, directory: directories } = entryClasses;
    await this.settle();
    const record = this.#record('complete', times);
    if (this.#unordered.spilled) await this.#unordered.spill();
    for (const kind of [oddFile, directories]) {
      for (const chunk of this.#unordered.chunks(kind)) {
        for (const { name, value } of chunk) this.#writers.add(kind, name, value);
        await this.#settleWriters();
      }
    }
    this.#endWriters();
    buffer.add({ key: directoryKey(directory), value: encodeDirectory(record) });
    if (this.#unordered.spilled) await buffer.flush();
    else await buffer.settle();
    await this.#unordered.clear();
    return [];
  }

  async abandon(): Promise<void> {
    // What reached the disk is under a record that says `listing`; the next listing clears it.
  }

  #add(name: string, entry: EntryRecord): void {
    const [kind, bytes, value] = [classOf(entry.type, name), Buffer.from(name), encodeEntry(entry)];
    if (kind === entryClasses.plainFile) this.#writers.add(kind, bytes, value);
    else this.#unordered.add(kind, { name: bytes, value });
  }

  async #settleWriters(): Promise<void> {
    if (this.#canSpread && this.#isOvergrown()) await this.#spread();
    else await this.#request.buffer.settle();
  }

  #isOvergrown(): boolean {
    const { namesMax } = this.#shelf.partitions;
    return this.#writers.counts().some((count, partition) => count + (this.#counts.get(partition) ?? 0) > namesMax);
  }

  async #spread(): Promise<void> {
    const { directory, buffer } = this.#request;
    const { partitions } = this.#shelf;
    this.#endWriters();
    await buffer.flush();
    this.#canSpread = await partitions.spread(directory);
    this.#counts = new Map(
      partitionsOf(partitions.mapOf(directory)).map((partition) => [
        partition,
        partitions.countOf(directory, partition),
      ]),
    );
    this.#writers = this.#newWriters();
  }

  /** All that came is in the buffer, and counted. */
  #endWriters(): void {
    const { directory, buffer } = this.#request;
    this.#writers.end();
    this.#writers.counts().forEach((count, partition) => {
      if (count === 0) return;
      const sum = count + (this.#counts.get(partition) ?? 0);
      buffer.add(this.#shelf.partitions.countWrite(directory, partition, sum));
    });
  }

  #newWriters(): PartitionWriters {
    const { directory, buffer } = this.#request;
    const map = this.#shelf.partitions.mapOf(directory);
    return new PartitionWriters({ directory, map, add: (write) => buffer.add(write) });
  }

  #record(state: DirectoryRecord['state'], times: ListedTimes): DirectoryRecord {
    const { attachment, prefix } = this.#request.directory;
    const generation = state === 'complete' ? (this.#request.former?.generation ?? 0) + 1 : 0;
    const { oddFile, directory } = entryClasses;
    const classes = { hasOddFiles: this.#unordered.has(oddFile), hasDirectories: this.#unordered.has(directory) };
    return { state, generation, ...times, ...classes, attachment, prefix };
  }
}

const noTimes: ListedTimes = { listedAtMs: 0, subtreeListedAtMs: 0 };
