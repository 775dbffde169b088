import { brokenRecord, decodeEntryWithin } from './records.ts';
import type { EntryRecord } from './records.ts';

/** What two overflow pages of the store hold. One entry that is longer is a block of its own. */
export const blockBytesMax = 2 * 8_192 - 16;
/** Most directories are small. */
const entriesBytesMin = 256;
const countBytes = 2;
const startBytes = 2;
const nameLengthBytes = 2;
/** What an entry takes beside its name and record. */
export const entryHeadBytes = startBytes + nameLengthBytes;

/**
 * Entries of one class and partition that follow one another in the byte order of their names, as one value of the
 * store: u16 number of entries, u16 where each begins, then of each u16 length of its name, name, and up to the next
 * one its record. A store of a few large values costs a tenth of one of many small ones, to write and to go through.
 */
export class EntryBlock {
  readonly count: number;
  /** As it is stored. */
  readonly bytes: Buffer;
  /** Each byte as one character; made for whoever goes through the names. */
  #text: string | null = null;

  /** `corrupt` where its numbers lead out of it. */
  constructor(bytes: Buffer) {
    this.bytes = bytes;
    this.count = bytes.length < countBytes ? 0 : bytes.readUInt16BE(0);
    if (this.count === 0 || countBytes + startBytes * this.count > bytes.length) throw brokenRecord('block');
  }

  name(index: number): Buffer {
    const start = this.#nameStart(index);
    return this.bytes.subarray(start, this.#nameEnd(index, start));
  }

  /** The name's UTF-8 bytes, each as one character. */
  order(index: number): string {
    const start = this.#nameStart(index);
    this.#text ??= this.bytes.toString('latin1');
    return this.#text.slice(start, this.#nameEnd(index, start));
  }

  value(index: number): Buffer {
    return this.bytes.subarray(this.#nameEnd(index, this.#nameStart(index)), this.#end(index));
  }

  record(index: number): EntryRecord {
    return decodeEntryWithin(this.bytes, this.#nameEnd(index, this.#nameStart(index)), this.#end(index));
  }

  /** The first entry whose name is `name` or comes after it; `count` when there is none. */
  find(name: Buffer): number {
    let [from, to] = [0, this.count];
    while (from < to) {
      const middle = (from + to) >>> 1;
      if (this.compare(middle, name) < 0) from = middle + 1;
      else to = middle;
    }
    return from;
  }

  /** The first entry whose name comes after `name`; `count` when there is none. */
  findAfter(name: Buffer): number {
    const at = this.find(name);
    return at < this.count && this.compare(at, name) === 0 ? at + 1 : at;
  }

  /** Where the entry's name stands in relation to `name`: negative before it, 0 the same. */
  compare(index: number, name: Buffer): number {
    const start = this.#nameStart(index);
    return -name.compare(this.bytes, start, this.#nameEnd(index, start));
  }

  #nameStart(index: number): number {
    const start = this.bytes.readUInt16BE(countBytes + startBytes * index) + nameLengthBytes;
    if (start < countBytes + startBytes * this.count || start > this.bytes.length) throw brokenRecord('block');
    return start;
  }

  #nameEnd(index: number, start: number): number {
    const end = start + this.bytes.readUInt16BE(start - nameLengthBytes);
    if (end > this.#end(index)) throw brokenRecord('block');
    return end;
  }

  #end(index: number): number {
    const isLast = index === this.count - 1;
    const end = isLast ? this.bytes.length : this.bytes.readUInt16BE(countBytes + startBytes * (index + 1));
    if (end > this.bytes.length) throw brokenRecord('block');
    return end;
  }
}

/** The name that a whole block begins with. */
export function firstName(block: Buffer): Buffer {
  return new EntryBlock(block).name(0);
}

export interface WrittenBlock {
  /** The name that it begins with. */
  readonly first: Buffer;
  readonly value: Buffer;
}

/** Fills blocks with entries that come in the order of their names. */
export class EntryBlockWriter {
  readonly #give: (block: WrittenBlock) => void;
  readonly #bytesMax: number;
  /** Entries one after another; made when the first one comes. */
  #entries: Buffer = Buffer.alloc(0);
  #starts: number[] = [];
  #length = 0;

  constructor(give: (block: WrittenBlock) => void, bytesMax = blockBytesMax) {
    this.#give = give;
    this.#bytesMax = bytesMax;
  }

  add(name: Uint8Array, value: Uint8Array): void {
    const at = this.#begin(name, value.length);
    this.#entries.set(value, at);
    this.#length = at + value.length;
  }

  /** Gives what has not been given. */
  end(): void {
    const { length } = this.#starts;
    if (length === 0) return;
    const headBytes = countBytes + startBytes * length;
    const value = Buffer.allocUnsafeSlow(headBytes + this.#length);
    value.writeUInt16BE(length, 0);
    this.#starts.forEach((start, at) => value.writeUInt16BE(headBytes + start, countBytes + startBytes * at));
    this.#entries.copy(value, headBytes, 0, this.#length);
    const nameAt = headBytes + nameLengthBytes;
    const first = value.subarray(nameAt, nameAt + this.#entries.readUInt16BE(0));
    this.#starts = [];
    this.#length = 0;
    this.#give({ first, value });
  }

  /** Where the record of a new entry goes. */
  #begin(name: Uint8Array, valueBytes: number): number {
    const bytes = nameLengthBytes + name.length + valueBytes;
    const headBytes = countBytes + startBytes * (this.#starts.length + 1);
    if (headBytes + this.#length + bytes > this.#bytesMax) this.end();
    if (this.#entries.length < this.#length + bytes) this.#grow(this.#length + bytes);
    const at = this.#length;
    this.#starts.push(at);
    this.#entries.writeUInt16BE(name.length, at);
    this.#entries.set(name, at + nameLengthBytes);
    return at + nameLengthBytes + name.length;
  }

  #grow(bytes: number): void {
    const more = Math.min(4 * this.#entries.length, blockBytesMax);
    const grown = Buffer.allocUnsafeSlow(Math.max(bytes, more, entriesBytesMin));
    this.#entries.copy(grown, 0, 0, this.#length);
    this.#entries = grown;
  }
}
