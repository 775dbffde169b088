import { hashName } from './name-hash.ts';
import { locate, shardOf } from './partition-map.ts';
import type { PartitionMap } from './partition-map.ts';
import type { EntryBlockWriter } from './store/entry-block.ts';
import { EntryBlocks } from './store/entry-blocks.ts';
import type { MetadataStore, Write } from './store/environment.ts';
import { entryClasses } from './store/keys.ts';
import type { DirectoryName, EntryClass } from './store/keys.ts';
import type { EntryRecord } from './store/records.ts';

interface Parts {
  readonly store: MetadataStore;
  readonly directory: DirectoryName;
  readonly map: PartitionMap;
  /** Takes each block as it is full. */
  readonly add: (write: Write) => void;
}

const classes = Object.keys(entryClasses).length;

/**
 * Deals entries out to the blocks of their partitions, which have none between them yet. Of each class names come in
 * their order.
 */
export class PartitionWriters {
  /** Names that were dealt out, by partition. */
  readonly counts = new Map<number, number>();
  readonly #parts: Parts;
  readonly #writers: EntryBlockWriter[] = [];

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  add(kind: EntryClass, name: Uint8Array, value: Uint8Array): void {
    this.#writerOf(kind, name).add(name, value);
  }

  addEntry(kind: EntryClass, name: Uint8Array, entry: EntryRecord): void {
    this.#writerOf(kind, name).addEntry(name, entry);
  }

  /** Blocks that are not full are given too. */
  end(): void {
    for (const writer of this.#writers) writer?.end();
  }

  #writerOf(kind: EntryClass, name: Uint8Array): EntryBlockWriter {
    const { store, directory, map, add } = this.#parts;
    const partition = map.shards.length === 1 ? 0 : locate(map, hashName(name));
    this.counts.set(partition, (this.counts.get(partition) ?? 0) + 1);
    const at = partition * classes + kind;
    const known = this.#writers[at];
    if (known !== undefined) return known;
    const place = { id: directory.id, shard: shardOf(map, partition), partition, kind };
    const writer = new EntryBlocks(store, place).written(null, add);
    this.#writers[at] = writer;
    return writer;
  }
}
