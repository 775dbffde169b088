import { nameOfOrder } from './stored-entry.ts';
import { SortedRun } from './sorted-run.ts';
import type { RunItem } from './sorted-run.ts';
import { EntryBlocks } from './store/entry-blocks.ts';
import type { Edit } from './store/entry-blocks.ts';
import { directoryKey, entryClasses, runs } from './store/keys.ts';
import { encodeDirectory } from './store/records.ts';
import type { DirectoryRecord } from './store/records.ts';
import type { Directory } from './directory.ts';
import type { EntryClass, EntryPlace } from './store/keys.ts';
import type { Shelf } from './update.ts';
import type { Write } from './store/environment.ts';
import type { WriteBuffer } from './store/write-buffer.ts';

/** First byte of a change's value; a put is followed by the entry record. */
const marks = { remove: 0, put: 1 } as const;

/**
 * What a new listing changes of a directory, collected before any of it is done, then done as a whole: in one
 * transaction when it is little; when it is much, from a run in the store that a record in state `applying` promises to
 * finish, also after a crash.
 */
export class Changes {
  readonly #shelf: Shelf;
  readonly #directory: Directory;
  readonly #run: SortedRun;
  /** The record says `applying`: the run must stay until all of it is done. */
  #promised = false;

  constructor(shelf: Shelf, directory: Directory, run = new SortedRun(shelf.store, directory, runs.changes)) {
    this.#shelf = shelf;
    this.#directory = directory;
    this.#run = run;
  }

  get isEmpty(): boolean {
    return this.#run.isEmpty;
  }

  put(kind: EntryClass, name: Buffer, record: Buffer): void {
    this.#run.add(kind, { name, value: Buffer.concat([Buffer.of(marks.put), record]) });
  }

  remove(kind: EntryClass, name: Buffer): void {
    this.#run.add(kind, { name, value: Buffer.of(marks.remove) });
  }

  settle(): Promise<void> {
    return this.#run.settle();
  }

  /** They shall not be done; unless that has been promised. */
  async abandon(): Promise<void> {
    if (!this.#promised) await this.#run.clear();
  }

  /** `record` is what the directory is afterwards. Gives the names of directories that are gone. */
  async apply(record: DirectoryRecord, buffer: WriteBuffer): Promise<readonly string[]> {
    if (!this.#run.spilled) return this.#applyAtOnce(record, buffer);
    await this.#run.spill();
    await buffer.flush();
    const key = directoryKey(this.#directory);
    this.#promised = true;
    await this.#shelf.store.write([{ key, value: encodeDirectory({ ...record, state: 'applying' }) }]);
    return this.#applyStored(record);
  }

  /** Ends what a crash cut off in the middle of `apply`. */
  static async resume(shelf: Shelf, directory: Directory, record: DirectoryRecord): Promise<readonly string[]> {
    const run = SortedRun.stored(shelf.store, directory, runs.changes);
    return new Changes(shelf, directory, run).#applyStored({ ...record, state: 'complete' });
  }

  async #applyAtOnce(record: DirectoryRecord, buffer: WriteBuffer): Promise<readonly string[]> {
    const seen = { gone: [] as string[], growth: new Map<number, number>() };
    for (const kind of Object.values(entryClasses)) {
      for (const chunk of this.#run.chunks(kind))
        for (const write of this.#writes(kind, chunk, seen)) buffer.add(write);
    }
    for (const write of this.#countWrites(seen.growth)) buffer.add(write);
    buffer.add({ key: directoryKey(this.#directory), value: encodeDirectory(record) });
    if (this.#outgrown(seen.growth)) await this.#split(buffer);
    await buffer.settle();
    return seen.gone;
  }

  async #applyStored(record: DirectoryRecord): Promise<readonly string[]> {
    const gone: string[] = [];
    for (const kind of Object.values(entryClasses)) {
      for (const chunk of this.#run.chunks(kind)) {
        const growth = new Map<number, number>();
        const writes = this.#writes(kind, chunk, { gone, growth });
        await this.#shelf.store.write([...writes, ...this.#countWrites(growth)]);
      }
    }
    await this.#shelf.partitions.splitLarge(this.#directory);
    await this.#shelf.store.write([{ key: directoryKey(this.#directory), value: encodeDirectory(record) }]);
    await this.#run.clear();
    return gone;
  }

  /** Of changes in the order of their names. Doing it twice changes nothing, and counts nothing. */
  #writes(
    kind: EntryClass,
    changes: readonly RunItem[],
    seen: { readonly gone: string[]; readonly growth: Map<number, number> },
  ): Write[] {
    const { store, partitions } = this.#shelf;
    const edits = new Map<number, { readonly place: EntryPlace; readonly edits: Edit[] }>();
    for (const { name, value } of changes) {
      const place = partitions.placeOf(this.#directory, kind, name);
      const edit = { name, value: value[0] === marks.put ? value.subarray(1) : null };
      const known = edits.get(place.partition);
      if (known === undefined) edits.set(place.partition, { place, edits: [edit] });
      else known.edits.push(edit);
      if (edit.value === null && kind === entryClasses.directory) seen.gone.push(nameOfOrder(name.toString('latin1')));
    }
    return [...edits].flatMap(([partition, of]) => {
      const { writes, growth } = new EntryBlocks(store, of.place).edit(of.edits);
      seen.growth.set(partition, (seen.growth.get(partition) ?? 0) + growth);
      return writes;
    });
  }

  #countWrites(differences: ReadonlyMap<number, number>): Write[] {
    return [...differences]
      .filter(([, difference]) => difference !== 0)
      .map(([partition, difference]) => {
        const count = this.#shelf.partitions.countOf(this.#directory, partition) + difference;
        return this.#shelf.partitions.countWrite(this.#directory, partition, count);
      });
  }

  #outgrown(differences: ReadonlyMap<number, number>): boolean {
    const { partitions } = this.#shelf;
    return [...differences].some(
      ([partition, difference]) => partitions.countOf(this.#directory, partition) + difference > partitions.namesMax,
    );
  }

  async #split(buffer: WriteBuffer): Promise<void> {
    await buffer.flush();
    await this.#shelf.partitions.splitLarge(this.#directory);
  }
}
