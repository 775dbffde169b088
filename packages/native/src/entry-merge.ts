import type { NativeEntryMerge, NativeBlockPacker, NativePackedEntries } from './binding-listing.ts';
import { binding } from './load.ts';
import { called } from './native-error.ts';

/** An entry of the metadata store by its class and the bytes of its name. */
export interface TakenEntry {
  readonly class: number;
  readonly name: Buffer;
}

/** What ended a run: as many as were asked for and there are more, a stream that wants its next block, or the end. */
export type MergePause = 'enough' | 'over' | { readonly wants: number };

const lengthBytes = 4;
const pauses = { [-1]: 'enough', [-2]: 'over' } as const;

/** Packed entries (`packed-entries.ts` of protocol) of one page of a listing. */
export class PackedPage {
  /** @internal */
  readonly native: NativePackedEntries;

  /** `path`: what is listed. */
  constructor(path: string) {
    const { NativePackedEntries } = binding();
    this.native = called(() => new NativePackedEntries(path));
  }

  get count(): number {
    return called(() => this.native.count());
  }

  /** Once. */
  packed(): Uint8Array {
    return called(() => this.native.finish());
  }
}

/** Blocks as a store has them, of all names or of a part of them. */
export class BlockPacker {
  /** @internal */
  readonly native: NativeBlockPacker;

  /** Of `count` parts by the low bits of the names' hashes the one with that index; null: of all names. */
  constructor(part: { readonly count: number; readonly index: number } | null) {
    const { NativeBlockPacker } = binding();
    this.native = called(() => new NativeBlockPacker(part?.count ?? 0, part?.index ?? 0));
  }

  /** Those that are full. */
  get count(): number {
    return called(() => this.native.blocks());
  }

  /** Once; all of them, of which the last need not be full. */
  blocks(): Uint8Array[] {
    const packed = called(() => this.native.finish());
    const blocks: Uint8Array[] = [];
    for (let at = 0; at < packed.length;) {
      const from = at + lengthBytes;
      at = from + packed.readUInt32LE(at);
      blocks.push(packed.subarray(from, at));
    }
    return blocks;
  }
}

/**
 * Streams of blocks of the metadata store (docs/formats.md, `entry-block`), each of one partition and class, as one: in
 * the byte order of their names, of one name those of a higher class first, each once.
 */
export class EntryMerge {
  readonly #native: NativeEntryMerge;

  /** Behind an entry; null: from the first on. */
  constructor(after: TakenEntry | null) {
    const { NativeEntryMerge } = binding();
    this.#native = called(() => new NativeEntryMerge(after));
  }

  /** Streams of these classes, from their beginnings or from anywhere before the last entry, which is passed. */
  open(classes: readonly number[]): void {
    called(() => this.#native.open(Uint8Array.from(classes)));
  }

  /** The block that a stream wants; null: it has no more. `corrupt` where it is none. */
  put(stream: number, block: Uint8Array | null): void {
    called(() => this.#native.put(stream, block));
  }

  /** Adds up to `count` entries to a page, or to blocks: those that are of another part count too. */
  take(count: number, into: PackedPage | BlockPacker): MergePause {
    const pause = called(() =>
      into instanceof PackedPage
        ? this.#native.takePage(count, into.native)
        : this.#native.takeBlocks(count, into.native),
    );
    return pause >= 0 ? { wants: pause } : pauses[pause as keyof typeof pauses];
  }

  /** Entries, since it began. */
  get taken(): number {
    return called(() => this.#native.taken());
  }

  /** That was taken, or that it begins behind; null: none. */
  get last(): TakenEntry | null {
    return called(() => this.#native.last());
  }
}
