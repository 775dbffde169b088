import type { EntryBlock } from './store/entry-block.ts';
import type { EntryClass } from './store/keys.ts';
import type { EntryRecord } from './store/records.ts';

/** One entry, where it lies. What it is made into is made when it is asked for: much is only passed. */
export class StoredEntry {
  /** The name's UTF-8 bytes, each as one character, so that JavaScript's `<` is the order of the bytes. */
  readonly order: string;
  readonly kind: EntryClass;
  readonly #block: EntryBlock;
  readonly #at: number;

  constructor(block: EntryBlock, at: number, kind: EntryClass) {
    this.order = block.order(at);
    this.kind = kind;
    this.#block = block;
    this.#at = at;
  }

  /** As it is stored. */
  get value(): Buffer {
    return this.#block.value(this.#at);
  }

  get record(): EntryRecord {
    return this.#block.record(this.#at);
  }
}

const beyondAscii = /[\x80-\xff]/;

export function nameOfOrder(order: string): string {
  return beyondAscii.test(order) ? Buffer.from(order, 'latin1').toString('utf8') : order;
}

export function orderOfName(name: string): string {
  return Buffer.from(name).toString('latin1');
}
