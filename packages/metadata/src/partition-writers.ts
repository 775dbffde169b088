import { EntryDealer } from '@millpool/native';
import type { SourceFiles } from '@millpool/under-storage';

import { shardOf } from './partition-map.ts';
import type { PartitionMap } from './partition-map.ts';
import { firstName } from './store/entry-block.ts';
import type { Write } from './store/environment.ts';
import { entryKey } from './store/keys.ts';
import type { DirectoryName, EntryClass } from './store/keys.ts';

interface Parts {
  readonly directory: DirectoryName;
  readonly map: PartitionMap;
  /** Takes each block as it is full. */
  readonly add: (write: Write) => void;
}

/**
 * Deals entries out to the blocks of their partitions, which have none between them yet. Of each class names come in
 * their order.
 */
export class PartitionWriters {
  readonly #parts: Parts;
  readonly #dealer: EntryDealer;

  constructor(parts: Parts) {
    this.#parts = parts;
    const { shards } = parts.map;
    this.#dealer = new EntryDealer(Array.from(shards, (shard) => shard !== undefined));
  }

  add(kind: EntryClass, name: Uint8Array, value: Uint8Array): void {
    this.#dealer.add(kind, name, value);
    this.#give();
  }

  /** A whole block of another store, of names behind `after`; the last of them. */
  addBlock(kind: EntryClass, block: Uint8Array, after: Uint8Array): Buffer {
    const last = this.#dealer.addBlock(kind, block, after);
    this.#give();
    return last;
  }

  /**
   * Plain files by their keys behind the first `skip` bytes, up to the first whose name may be another than those
   * bytes; what is left, with that one.
   */
  addFiles(files: SourceFiles, skip: number): SourceFiles {
    const { packed, from, to } = files;
    const end = this.#dealer.addFiles(packed, { from, to, skip });
    this.#give();
    return files.slice(end - from);
  }

  /** Names that were dealt out, by partition; valid until the next call. */
  counts(): Uint32Array {
    return this.#dealer.counts();
  }

  /** Blocks that are not full are given too. */
  end(): void {
    this.#dealer.end();
    this.#give();
  }

  #give(): void {
    const { directory, map, add } = this.#parts;
    for (const { partition, kind, value } of this.#dealer.take()) {
      const place = { id: directory.id, shard: shardOf(map, partition), partition, kind: kind as EntryClass };
      add({ key: entryKey(place, firstName(value)), value });
    }
  }
}
