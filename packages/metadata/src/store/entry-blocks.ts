import { blockBytesMax, EntryBlock, entryHeadBytes, EntryBlockWriter } from './entry-block.ts';
import type { WrittenBlock } from './entry-block.ts';
import type { MetadataStore, Pair, Write } from './environment.ts';
import { entryPrefix, nameAt, named, successorOf } from './keys.ts';
import type { EntryPlace } from './keys.ts';
import type { EntryRecord } from './records.ts';

/** So that the last one is not a few entries alone. */
const unevenBytes = 512;

export interface PlacedBlock {
  readonly key: Buffer;
  readonly block: EntryBlock;
}

const leastByte = Buffer.of(0);

/** A name, and its record from now on; null: none. */
export interface Edit {
  readonly name: Buffer;
  readonly value: Buffer | null;
}

/**
 * The blocks of one partition and class. A block holds all names from its key's up to the next one's; the first may
 * have the empty name in its key, so that every name has a place.
 */
export class EntryBlocks {
  readonly #store: MetadataStore;
  readonly #prefix: Buffer;

  constructor(store: MetadataStore, place: EntryPlace) {
    this.#store = store;
    this.#prefix = entryPrefix(place);
  }

  get(name: Buffer): EntryRecord | null {
    return this.#store.atFloor(this.#prefix, named(this.#prefix, name), (value) => {
      const block = new EntryBlock(value);
      const at = block.find(name);
      return at < block.count && block.compare(at, name) === 0 ? block.record(at) : null;
    });
  }

  /** The block that holds `name` if there is such a name, or else the first one behind it. */
  holding(name: Buffer): PlacedBlock | null {
    const start = named(this.#prefix, name);
    const floor = name.length === 0 ? undefined : this.#store.floor(this.#prefix, start);
    return floor === undefined ? this.#first(start) : placed(floor);
  }

  /** The block behind the one that had this key. */
  after(key: Buffer): PlacedBlock | null {
    return this.#first(Buffer.concat([key, leastByte]));
  }

  /**
   * What is to be written for edits that come in the order of their names, each name once; and by how much the number
   * of names grows. Doing it twice changes nothing, and counts nothing.
   */
  edit(edits: readonly Edit[]): { readonly writes: readonly Write[]; readonly growth: number } {
    const writes: Write[] = [];
    let growth = 0;
    for (let at = 0; at < edits.length;) {
      const { name } = edits[at] as Edit;
      const pair = this.#store.floor(this.#prefix, named(this.#prefix, name));
      const behind = this.#keyAfter(pair?.key ?? this.#prefix);
      const beyond = behind === null ? -1 : edits.findIndex((edit, from) => from > at && !isBefore(edit, behind));
      const end = beyond === -1 ? edits.length : beyond;
      growth += this.#rewrite(pair, edits.slice(at, end), writes);
      at = end;
    }
    return { writes, growth };
  }

  /** The key that a partition's first block has. */
  get firstKey(): Buffer {
    return this.#prefix;
  }

  #keyAfter(key: Buffer): Buffer | null {
    const start = Buffer.concat([key, leastByte]);
    const [next] = this.#store.first({ start, end: successorOf(this.#prefix) }, 1);
    return next === undefined ? null : next.key.subarray(nameAt);
  }

  #first(start: Buffer): PlacedBlock | null {
    const [pair] = this.#store.first({ start, end: successorOf(this.#prefix) }, 1);
    return pair === undefined ? null : placed(pair);
  }

  #rewrite(pair: Pair | undefined, edits: readonly Edit[], writes: Write[]): number {
    const key = pair?.key ?? this.firstKey;
    const before = writes.length;
    const bytes = edits.reduce((sum, edit) => sum + editBytes(edit), pair?.value.length ?? 0);
    const give = ({ first, value }: WrittenBlock): void => {
      const isFirst = writes.length === before;
      writes.push({ key: isFirst ? key : named(this.#prefix, first), value });
    };
    const writer = new EntryBlockWriter(give, evenBytes(bytes));
    const block = pair === undefined ? null : new EntryBlock(pair.value);
    let growth = 0;
    let kept = 0;
    const keepTo = (end: number): void => {
      if (block === null) return;
      for (; kept < end; kept += 1) writer.add(block.name(kept), block.value(kept));
    };
    for (const { name, value } of edits) {
      const at = block?.find(name) ?? 0;
      keepTo(at);
      const was = block !== null && at < block.count && block.compare(at, name) === 0;
      if (was) kept += 1;
      if (value !== null) writer.add(name, value);
      growth += Number(value !== null) - Number(was);
    }
    keepTo(block?.count ?? 0);
    writer.end();
    if (writes.length === before && pair !== undefined) writes.push({ key, value: null });
    return growth;
  }
}

function placed({ key, value }: Pair): PlacedBlock {
  return { key, block: new EntryBlock(value) };
}

function editBytes({ name, value }: Edit): number {
  return value === null ? 0 : entryHeadBytes + name.length + value.length;
}

/** How long blocks are that share so many bytes: a full one becomes two halves, not a full one and a rest. */
function evenBytes(bytes: number): number {
  const even = bytes / Math.ceil(bytes / blockBytesMax);
  return bytes <= blockBytesMax ? blockBytesMax : Math.min(blockBytesMax, Math.ceil(even) + unevenBytes);
}

function isBefore({ name }: Edit, other: Buffer): boolean {
  return name.compare(other) < 0;
}
