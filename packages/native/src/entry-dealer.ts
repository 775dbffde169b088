import type { NativeEntryDealer } from './binding-listing.ts';
import { binding } from './load.ts';
import { called } from './native-error.ts';

/** A block of entries of one partition and class (docs/formats.md, `entry-block`). */
export interface DealtBlock {
  readonly partition: number;
  readonly kind: number;
  readonly value: Buffer;
}

const headBytes = 7;

/** Fills the blocks of a directory's partitions with entries, which come in the order of their names within a class. */
export class EntryDealer {
  readonly #native: NativeEntryDealer;
  readonly #counts: Uint32Array;

  /** By partition, whether it is there; the first one must be. */
  constructor(present: readonly boolean[]) {
    const { NativeEntryDealer } = binding();
    this.#native = called(() => new NativeEntryDealer(Uint8Array.from(present, Number)));
    this.#counts = new Uint32Array(present.length);
  }

  /**
   * Deals out packed files `from` up to `to`, each by its key behind the first `skip` bytes; where the first one is
   * whose name may be another than those bytes, or `to`.
   */
  addFiles(files: Uint8Array, { from, to, skip }: { from: number; to: number; skip: number }): number {
    return called(() => this.#native.addFiles(files, from, to, skip));
  }

  add(kind: number, name: Uint8Array, record: Uint8Array): void {
    called(() => this.#native.add(kind, name, record));
  }

  /**
   * A whole block that somebody else has sent, of names behind `after`; the last of them. `corrupt` where it is not
   * that: then a part of it may have been dealt out.
   */
  addBlock(kind: number, block: Uint8Array, after: Uint8Array): Buffer {
    return called(() => this.#native.addBlock(kind, block, after));
  }

  /** Names that were dealt out, by partition; valid until the next call. */
  counts(): Uint32Array {
    called(() => this.#native.counts(this.#counts));
    return this.#counts;
  }

  /** From now on the blocks that are not full are among those taken. */
  end(): void {
    called(() => this.#native.end());
  }

  /** The blocks that are done, each once. */
  *take(): Generator<DealtBlock> {
    const blocks = called(() => this.#native.take());
    if (blocks === null) return;
    for (let at = 0; at < blocks.length;) {
      const [partition, kind] = [blocks.readUInt16LE(at), blocks.readUInt8(at + 2)];
      const from = at + headBytes;
      at = from + blocks.readUInt32LE(at + 3);
      yield { partition, kind, value: blocks.subarray(from, at) };
    }
  }
}
