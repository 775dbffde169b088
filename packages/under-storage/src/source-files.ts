import { Buffer } from 'node:buffer';

export interface SourceFile {
  readonly key: Uint8Array;
  readonly size: number;
  readonly mtimeMs: number;
  /** As in `Entry.tag` of the protocol: `"…"`, `m:SECONDS` or `f:DEVICE:INODE:MTIME_NS:CTIME_NS`. */
  readonly tag: string;
}

const countBytes = 4;
const startBytes = 4;
const timeAt = 8;
const keyLengthAt = 16;
const keyAt = 18;

/**
 * Files in the order of their keys, packed: a million of them would be a million objects for the collector to follow,
 * and one page is one buffer for the native side, which makes most of them (`file_rows.rs`). u32 count, u32 where each
 * begins and where the last one ends, then of each f64 size, f64 mtime in ms, u16 length of its key, key, tag; little
 * endian. Never stored nor sent. Keys are views: copy what is to be kept for long.
 */
export class SourceFiles implements Iterable<SourceFile> {
  /** All of the page that these are of. */
  readonly packed: Buffer;
  /** Which of them these are. */
  readonly from: number;
  readonly to: number;

  private constructor(packed: Buffer, from: number, to: number) {
    this.packed = packed;
    this.from = from;
    this.to = to;
  }

  static packed(bytes: Buffer): SourceFiles {
    return new SourceFiles(bytes, 0, bytes.readUInt32LE(0));
  }

  static of(files: readonly SourceFile[]): SourceFiles {
    const tags = files.map(({ tag }) => Buffer.from(tag));
    const headBytes = countBytes + startBytes * (files.length + 1);
    const length = files.reduce((sum, { key }, at) => sum + keyAt + key.length + (tags[at]?.length ?? 0), headBytes);
    const bytes = Buffer.allocUnsafe(length);
    bytes.writeUInt32LE(files.length, 0);
    let at = headBytes;
    for (const [index, { key, size, mtimeMs }] of files.entries()) {
      bytes.writeUInt32LE(at, countBytes + startBytes * index);
      bytes.writeDoubleLE(size, at);
      bytes.writeDoubleLE(mtimeMs, at + timeAt);
      bytes.writeUInt16LE(key.length, at + keyLengthAt);
      bytes.set(key, at + keyAt);
      at += keyAt + key.length;
      at += tags[index]?.copy(bytes, at) ?? 0;
    }
    bytes.writeUInt32LE(at, countBytes + startBytes * files.length);
    return SourceFiles.packed(bytes);
  }

  get length(): number {
    return this.to - this.from;
  }

  key(index: number): Buffer {
    return this.#key(this.#start(index));
  }

  *keys(): Generator<Buffer> {
    for (let index = 0; index < this.length; index += 1) yield this.key(index);
  }

  at(index: number): SourceFile {
    const start = this.#start(index);
    const key = this.#key(start);
    const tag = this.packed.toString('latin1', start + keyAt + key.length, this.#start(index + 1));
    const [size, mtimeMs] = [this.packed.readDoubleLE(start), this.packed.readDoubleLE(start + timeAt)];
    return { key, size, mtimeMs, tag };
  }

  slice(from: number, to = this.length): SourceFiles {
    return new SourceFiles(this.packed, this.from + from, this.from + to);
  }

  /** How many of them have no greater key than this one. */
  countUpTo(key: Uint8Array): number {
    let [from, to] = [0, this.length];
    while (from < to) {
      const middle = (from + to) >>> 1;
      if (Buffer.compare(this.key(middle), key) <= 0) from = middle + 1;
      else to = middle;
    }
    return from;
  }

  /** The one with this key; null: none of them has. */
  find(key: Uint8Array): SourceFile | null {
    const count = this.countUpTo(key);
    return count > 0 && this.key(count - 1).equals(key) ? this.at(count - 1) : null;
  }

  *[Symbol.iterator](): Generator<SourceFile> {
    for (let index = 0; index < this.length; index += 1) yield this.at(index);
  }

  /** Of the end of the last one, too. */
  #start(index: number): number {
    return this.packed.readUInt32LE(countBytes + startBytes * (this.from + index));
  }

  #key(start: number): Buffer {
    const from = start + keyAt;
    return this.packed.subarray(from, from + this.packed.readUInt16LE(start + keyLengthAt));
  }
}
