import { nameOfBytes } from '@millpool/protocol';
import type { SourceFiles } from '@millpool/under-storage';

import { Changes } from './changes.ts';
import { copiedEntries, lastNameOf } from './copied-block.ts';
import { isPlainBytes } from './directory.ts';
import { classOf } from './entries.ts';
import { resolved } from './resolved-entry.ts';
import type { ResolvedEntry } from './resolved-entry.ts';
import { SortedRun } from './sorted-run.ts';
import type { RunItem } from './sorted-run.ts';
import { directoryEntry, fileEntry } from './source-pages.ts';
import { entryClasses, runs } from './store/keys.ts';
import type { EntryClass } from './store/keys.ts';
import { encodeEntry } from './store/records.ts';
import type { DirectoryRecord, EntryRecord } from './store/records.ts';
import { nameOfOrder } from './stored-entry.ts';
import type { StoredEntry } from './stored-entry.ts';
import type { ListedTimes, Shelf, Update, UpdateRequest } from './update.ts';

interface ListedFile {
  readonly order: string;
  readonly value: Buffer;
}

const windowMax = 8_192;
const replacedAtOnce = 1_000;

/**
 * A later listing of a directory: a merge-join of what comes with what is there, of which only the differences are
 * written, and those when it has ended. Plain files are joined window by window as they come. What comes in another
 * order than it is stored (keys.ts) is sorted in a run first and joined at the end.
 */
export class Relisting implements Update {
  readonly #shelf: Shelf;
  readonly #request: UpdateRequest;
  readonly #former: DirectoryRecord;
  readonly #changes: Changes;
  readonly #unordered: SortedRun;
  #window: ListedFile[] = [];
  /** Names up to this one, itself included, have been joined. */
  #joined: string | null = null;

  private constructor(shelf: Shelf, request: UpdateRequest, former: DirectoryRecord) {
    this.#shelf = shelf;
    this.#request = request;
    this.#former = former;
    this.#changes = new Changes(shelf, request.directory);
    this.#unordered = new SortedRun(shelf.store, request.directory, runs.unordered);
  }

  static async begin(shelf: Shelf, request: UpdateRequest, former: DirectoryRecord): Promise<Relisting> {
    for (const run of Object.values(runs)) await SortedRun.stored(shelf.store, request.directory, run).clear();
    return new Relisting(shelf, request, former);
  }

  addFile(bytes: Uint8Array, entry: EntryRecord): void {
    const value = encodeEntry(entry);
    if (isPlainBytes(bytes)) return this.#add(entryClasses.plainFile, Buffer.from(bytes), value);
    const name = nameOfBytes(bytes);
    this.#add(classOf('file', name), Buffer.from(name), value);
  }

  addFiles(files: SourceFiles): void {
    const { length } = this.#request.directory.prefix;
    for (const file of files) this.addFile(file.key.subarray(length), fileEntry(file));
  }

  addDirectory(name: string): void {
    this.#add(entryClasses.directory, Buffer.from(name), encodeEntry(directoryEntry));
  }

  addBlock(kind: EntryClass, block: Buffer, after: Uint8Array): Buffer {
    const entries = copiedEntries(kind, block, after);
    for (const { name, value } of entries) this.#add(kind, name, value);
    return lastNameOf(entries);
  }

  async settle(): Promise<void> {
    if (this.#window.length >= windowMax) this.#joinWindow(this.#window.at(-1)?.order ?? null);
    await this.#unordered.settle();
    await this.#changes.settle();
  }

  async finish(times: ListedTimes): Promise<readonly string[]> {
    this.#joinWindow(null);
    const { oddFile, directory } = entryClasses;
    const seen = { hasOddFiles: this.#unordered.has(oddFile), hasDirectories: this.#unordered.has(directory) };
    if (this.#unordered.spilled) await this.#unordered.spill();
    if (seen.hasOddFiles || this.#former.hasOddFiles) await this.#joinUnordered(oddFile);
    if (seen.hasDirectories || this.#former.hasDirectories) await this.#joinUnordered(directory);
    await this.#unordered.clear();
    const generation = this.#former.generation + (this.#changes.isEmpty ? 0 : 1);
    return this.#changes.apply(
      { ...this.#former, ...times, ...seen, state: 'complete', generation },
      this.#request.buffer,
    );
  }

  async abandon(): Promise<void> {
    await this.#unordered.clear();
    await this.#changes.abandon();
  }

  #add(kind: EntryClass, name: Buffer, value: Buffer): void {
    if (kind === entryClasses.plainFile) this.#window.push({ order: name.toString('latin1'), value });
    else this.#unordered.add(kind, { name, value });
  }

  /** All stored names after the last window up to `to` are either in this window or gone. */
  #joinWindow(to: string | null): void {
    const window = this.#window;
    this.#window = [];
    this.#join(entryClasses.plainFile, window.values(), { after: this.#joined, to });
    this.#joined = to;
  }

  async #joinUnordered(kind: EntryClass): Promise<void> {
    let after: string | null = null;
    for (const chunk of this.#unordered.chunks(kind)) {
      const last = chunk.at(-1)?.name.toString('latin1');
      if (last === undefined) break;
      this.#join(kind, listed(chunk), { after, to: last });
      after = last;
      await this.#changes.settle();
    }
    this.#join(kind, [].values(), { after, to: null });
    await this.#changes.settle();
  }

  #join(
    kind: EntryClass,
    listing: IterableIterator<ListedFile>,
    range: { after: string | null; to: string | null },
  ): void {
    const from = range.after ?? '';
    const stored = this.#shelf.entries.scan(this.#request.directory, { kinds: [kind], from, to: range.to });
    if (stored.head?.order === range.after) stored.pass();
    const replaced: ResolvedEntry[] = [];
    const replace = (entry: StoredEntry): void => {
      if (entry.kind === entryClasses.directory) return;
      replaced.push(resolved(this.#request.directory, nameOfOrder(entry.order), entry.record));
      if (replaced.length >= replacedAtOnce) this.#shelf.replaced.tell(replaced.splice(0));
    };
    const removeTo = (end: string | null): void => {
      for (let { head } = stored; isBefore(head, end); { head } = stored) {
        this.#changes.remove(kind, Buffer.from(head.order, 'latin1'));
        replace(head);
        stored.pass();
      }
    };
    for (const { order, value } of listing) {
      removeTo(order);
      const same = stored.head?.order === order ? stored.head : null;
      if (same?.value.equals(value) !== true) {
        this.#changes.put(kind, Buffer.from(order, 'latin1'), value);
        if (same !== null) replace(same);
      }
      if (same !== null) stored.pass();
    }
    removeTo(null);
    this.#shelf.replaced.tell(replaced);
  }
}

/** Null: the end of the directory, which all entries are before. */
function isBefore(entry: StoredEntry | null, end: string | null): entry is StoredEntry {
  return entry !== null && (end === null || entry.order < end);
}

function* listed(items: readonly RunItem[]): Generator<ListedFile> {
  for (const { name, value } of items) yield { order: name.toString('latin1'), value };
}
