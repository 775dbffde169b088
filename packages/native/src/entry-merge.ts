import type { NativeEntryMerge } from './binding-listing.ts';
import { binding } from './load.ts';
import { called } from './native-error.ts';

/** An entry of the metadata store by its class and the bytes of its name. */
export interface TakenEntry {
  readonly class: number;
  readonly name: Buffer;
}

/** What ended a run: as many as were asked for and there are more, a stream that wants its next block, or the end. */
export type MergePause = 'enough' | 'over' | { readonly wants: number };

const pauses = { [-1]: 'enough', [-2]: 'over' } as const;

/**
 * One page of a listing out of streams of blocks of the metadata store (docs/formats.md, `entry-block`), each of one
 * partition and class: packed entries (`packed-entries.ts` of protocol) in the byte order of their names, of one name
 * those of a higher class first, each once.
 */
export class EntryMerge {
  readonly #native: NativeEntryMerge;

  /** `path`: what is listed. The page begins behind an entry; null: with the first. */
  constructor(path: string, after: TakenEntry | null) {
    const { NativeEntryMerge } = binding();
    this.#native = called(() => new NativeEntryMerge(path, after));
  }

  /** Streams of these classes, from their beginnings or from anywhere before the last entry, which is passed. */
  open(classes: readonly number[]): void {
    called(() => this.#native.open(Uint8Array.from(classes)));
  }

  /** The block that a stream wants; null: it has no more. `corrupt` where it is none. */
  put(stream: number, block: Uint8Array | null): void {
    called(() => this.#native.put(stream, block));
  }

  /** Adds up to `count` entries. */
  take(count: number): MergePause {
    const pause = called(() => this.#native.take(count));
    return pause >= 0 ? { wants: pause } : pauses[pause as keyof typeof pauses];
  }

  /** Entries of the page. */
  get count(): number {
    return called(() => this.#native.count());
  }

  /** Of the page, or the one that it begins behind; null: none. */
  get last(): TakenEntry | null {
    return called(() => this.#native.last());
  }

  /** The page, which is then over. */
  packed(): Uint8Array {
    return called(() => this.#native.packed());
  }
}
