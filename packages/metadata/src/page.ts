import { EntryPacker } from '@millpool/protocol';
import type { EntryFields, PackedEntries } from '@millpool/protocol';

/** A page that has anything is given when it took so long, wherever it ends. */
const pageMs = 50;

/** An entry by its path below what is listed. */
export interface ListedEntry extends EntryFields {
  readonly name: string;
}

/** What comes for one page of a listing; it is full with so many entries, or after a while with any. */
export class Page {
  readonly #entries: EntryPacker;
  readonly #limit: number;
  readonly #nowMs: () => number;
  readonly #endMs: number;
  /** Null: it is empty. */
  last: Pick<ListedEntry, 'name' | 'type'> | null = null;

  constructor({ path, limit }: { readonly path: string; readonly limit: number }, nowMs: () => number) {
    this.#entries = new EntryPacker(path);
    this.#limit = limit;
    this.#nowMs = nowMs;
    this.#endMs = nowMs() + pageMs;
  }

  /** Entries that it has room for. */
  get room(): number {
    return this.#limit - this.#entries.count;
  }

  get isFull(): boolean {
    return this.room === 0 || (this.last !== null && this.#nowMs() >= this.#endMs);
  }

  add(name: string, fields: EntryFields): void {
    this.#entries.add(name, fields);
    this.last = { name, type: fields.type };
  }

  packed(): PackedEntries {
    return this.#entries.packed();
  }
}
