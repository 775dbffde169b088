import type { CoordStore } from '@millpool/coordination';
import { MillpoolError } from '@millpool/protocol';

import { hashName } from './name-hash.ts';
import {
  decodePartitionMap,
  encodePartitionMap,
  locate,
  movesTo,
  nextSplit,
  partitionsOf,
  placementOf,
  shardOf,
  spreadMap,
  wholeMap,
  withChild,
} from './partition-map.ts';
import type { PartitionMap, Split } from './partition-map.ts';
import type { MetadataStore, Pair, Write } from './store/environment.ts';
import { PartitionWriters } from './partition-writers.ts';
import { EntryBlock, EntryBlockWriter } from './store/entry-block.ts';
import {
  allPartitions,
  allSplits,
  classOfKey,
  partitionKey,
  partitionOfKey,
  partitionRange,
  splitKey,
  splitOfKey,
} from './store/keys.ts';
import type { DirectoryName, EntryClass, EntryPlace } from './store/keys.ts';
import { decodeCount, encodeCount } from './store/records.ts';

interface Parts {
  readonly store: MetadataStore;
  readonly coordination: CoordStore;
  readonly shards: number;
  /** A partition of more names is split. */
  readonly namesMax: number;
}

export interface PartitionCount {
  /** The shard that its directory has its home in. */
  readonly home: number;
  readonly count: number;
}

interface StoredMap {
  readonly map: PartitionMap;
  readonly modRevision: number;
}

const recordPrefix = 'directory/';
const recordsAtOnce = 1_000;
const blocksAtOnce = 128;
const countsAtOnce = 4_096;

/**
 * Which partition holds a name, and the splitting of those that grew. A directory of more than one partition has a
 * record in the coordination store; swapping that record is the commit of a split. Before it, what was copied to the
 * child is nobody's; after it, what is left in the parent is; and the store remembers the split until that is gone.
 */
export class Partitions {
  readonly #parts: Parts;
  /** By the directories' ids in hex. */
  readonly #stored = new Map<string, StoredMap>();
  #changes = 0;

  private constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Reads the maps, and ends or undoes the splits that a former process left. */
  static async open(parts: Parts): Promise<Partitions> {
    const partitions = new Partitions(parts);
    await partitions.#readMaps();
    for (const { key } of parts.store.first(allSplits, Number.MAX_SAFE_INTEGER)) await partitions.#recover(key);
    return partitions;
  }

  get namesMax(): number {
    return this.#parts.namesMax;
  }

  /** Grows with each map that becomes another one. */
  get changes(): number {
    return this.#changes;
  }

  mapOf(directory: DirectoryName): PartitionMap {
    return this.#stored.get(directory.text)?.map ?? wholeMap(directory.home);
  }

  /** Where the entry of a name lies, and is counted. */
  placeOf(directory: DirectoryName, kind: EntryClass, name: Buffer): EntryPlace {
    const map = this.mapOf(directory);
    const partition = map.shards.length === 1 ? 0 : locate(map, hashName(name));
    return { id: directory.id, shard: shardOf(map, partition), partition, kind };
  }

  countOf(directory: DirectoryName, partition: number): number {
    const count = this.#parts.store.get(this.#countKey(directory, partition));
    return count === undefined ? 0 : decodeCount(count);
  }

  /** Of all directories, in runs that the caller may wait between. */
  *counts(): Generator<readonly PartitionCount[]> {
    for (const chunk of this.#parts.store.chunks(allPartitions, countsAtOnce)) {
      yield chunk.map(({ key, value }) => {
        const { id, shard } = partitionOfKey(key);
        return { home: this.#stored.get(id)?.map.shards[0] ?? shard, count: decodeCount(value) };
      });
    }
  }

  countWrite(directory: DirectoryName, partition: number, count: number): Write {
    return { key: this.#countKey(directory, partition), value: encodeCount(Math.max(0, count)) };
  }

  /**
   * Splits until no partition has more than `namesMax` names, or none can be split further. The caller holds the
   * directory's lock, and everything of it is on disk, counts too.
   */
  async splitLarge(directory: DirectoryName): Promise<void> {
    for (;;) {
      const map = this.mapOf(directory);
      const split = partitionsOf(map)
        .filter((partition) => this.countOf(directory, partition) > this.#parts.namesMax)
        .map((partition) => nextSplit(map, partition, this.#parts.shards))
        .find((candidate) => candidate !== null);
      if (split === undefined) return;
      await this.#split(directory, map, split);
    }
  }

  /**
   * Makes many of each partition at once, of a directory that nobody reads yet and that is cleared if this is cut off.
   * All of it is on disk, counts too. False: it has as many as it can.
   */
  async spread(directory: DirectoryName): Promise<boolean> {
    const map = this.mapOf(directory);
    const next = spreadMap(map, { home: directory.home, shards: this.#parts.shards });
    if (next === null) return false;
    await this.#commit(directory, next);
    for (const partition of partitionsOf(map)) await this.#deal(directory, partition, next);
    return true;
  }

  /** All entries and counts; the directory is as if it had never been listed. */
  async clear(directory: DirectoryName): Promise<void> {
    const { store, coordination } = this.#parts;
    const map = this.mapOf(directory);
    for (const partition of partitionsOf(map)) {
      await store.clear(partitionRange(directory.id, shardOf(map, partition), partition));
      await store.write([{ key: this.#countKey(directory, partition), value: null }]);
    }
    if (!this.#stored.delete(directory.text)) return;
    this.#changes += 1;
    const key = nameOfRecord(directory);
    await coordination.txn({ compare: [], then: [{ kind: 'delete', key }], otherwise: [] });
  }

  async #split(directory: DirectoryName, map: PartitionMap, split: Split): Promise<void> {
    const { store, shards } = this.#parts;
    const shard = placementOf(directory.home, split.child, shards);
    const marker = splitKey(directory, split.parent, split.child);
    await store.write([{ key: marker, value: Buffer.alloc(0) }]);
    await store.clear(partitionRange(directory.id, shard, split.child));
    const moved = await this.#copy(directory, map, { split, shard });
    await store.write([this.#countAt(directory, { shard, partition: split.child }, moved)]);
    await this.#commit(directory, withChild(map, split.child, shard));
    await this.#dropMoved(directory, split);
    await store.write([{ key: marker, value: null }]);
  }

  /** Copies what the child takes; how many names that is. */
  async #copy(directory: DirectoryName, map: PartitionMap, to: { split: Split; shard: number }): Promise<number> {
    const { store } = this.#parts;
    const { split, shard } = to;
    const writes: Write[] = [];
    const next = withChild(map, split.child, shard);
    const child = new PartitionWriters({ directory, map: next, add: (write) => writes.push(write) });
    const range = partitionRange(directory.id, shardOf(map, split.parent), split.parent);
    for (const chunk of store.chunks(range, blocksAtOnce)) {
      for (const { kind, name, value } of entriesOf(chunk)) {
        if (movesTo(split, hashName(name))) child.add(kind, name, value);
      }
      await store.write(writes.splice(0));
    }
    child.end();
    await store.write(writes);
    return child.counts()[split.child] ?? 0;
  }

  /** Removes from the parent what the child has now, and counts what is left. */
  async #dropMoved(directory: DirectoryName, split: Split): Promise<void> {
    const { store } = this.#parts;
    const range = partitionRange(directory.id, shardOf(this.mapOf(directory), split.parent), split.parent);
    let left = 0;
    for (const chunk of store.chunks(range, blocksAtOnce)) {
      const writes = chunk.map((pair): Write => {
        const rest = [...entriesOf([pair])].filter(({ name }) => !movesTo(split, hashName(name)));
        left += rest.length;
        return { key: pair.key, value: blockOf(rest) };
      });
      await store.write(writes);
    }
    await store.write([this.countWrite(directory, split.parent, left)]);
  }

  /** Shares what a partition has out to all that `map` has. */
  async #deal(directory: DirectoryName, partition: number, map: PartitionMap): Promise<void> {
    const { store } = this.#parts;
    const range = partitionRange(directory.id, shardOf(map, partition), partition);
    const writes: Write[] = [];
    const writers = new PartitionWriters({ directory, map, add: (write) => writes.push(write) });
    const chunks = [...store.chunks(range, blocksAtOnce)];
    for (const chunk of chunks) {
      for (const { kind, name, value } of entriesOf(chunk)) writers.add(kind, name, value);
    }
    writers.end();
    const former = chunks.flatMap((chunk) => chunk.map(({ key }) => ({ key, value: null })));
    const counts = [...writers.counts().entries()].filter(([at, count]) => count > 0 || at === partition);
    const counted = counts.map(([at, count]) => this.countWrite(directory, at, count));
    await store.write([...former, ...writes, ...counted]);
  }

  async #commit(directory: DirectoryName, map: PartitionMap): Promise<void> {
    const key = nameOfRecord(directory);
    const modRevision = this.#stored.get(directory.text)?.modRevision ?? 0;
    const { succeeded, revision } = await this.#parts.coordination.txn({
      compare: [{ kind: 'mod-revision', key, modRevision }],
      then: [{ kind: 'put', key, value: encodePartitionMap(map) }],
      otherwise: [],
    });
    if (!succeeded) throw lostRace(key);
    this.#stored.set(directory.text, { map, modRevision: revision });
    this.#changes += 1;
  }

  /** A split is done when its child is in the map, and undone otherwise. */
  async #recover(key: Buffer): Promise<void> {
    const { store, shards } = this.#parts;
    const { directory, parent, child } = splitOfKey(key);
    if (this.mapOf(directory).shards[child] === undefined) {
      const shard = placementOf(directory.home, child, shards);
      await store.clear(partitionRange(directory.id, shard, child));
      await store.write([{ key: partitionKey(directory.id, shard, child), value: null }]);
    } else {
      await this.#dropMoved(directory, { parent, child, depth: 32 - Math.clz32(child) });
    }
    await store.write([{ key, value: null }]);
  }

  async #readMaps(): Promise<void> {
    const { coordination, shards } = this.#parts;
    for (let after: string | null = null, more = true; more;) {
      const page = await coordination.range({ prefix: recordPrefix, limit: recordsAtOnce, after });
      for (const { key, value, modRevision } of page.entries) {
        this.#stored.set(key.slice(recordPrefix.length), { map: decodePartitionMap(value, shards), modRevision });
      }
      more = page.more;
      after = page.entries.at(-1)?.key ?? null;
    }
  }

  #countKey(directory: DirectoryName, partition: number): Buffer {
    return partitionKey(directory.id, shardOf(this.mapOf(directory), partition), partition);
  }

  #countAt(directory: DirectoryName, place: { shard: number; partition: number }, count: number): Write {
    return { key: partitionKey(directory.id, place.shard, place.partition), value: encodeCount(count) };
  }
}

interface KeptEntry {
  readonly kind: EntryClass;
  readonly name: Buffer;
  readonly value: Buffer;
}

/** What is in blocks, in their order. */
function* entriesOf(pairs: readonly Pair[]): Generator<KeptEntry> {
  for (const { key, value } of pairs) {
    const block = new EntryBlock(value);
    const kind = classOfKey(key);
    for (let at = 0; at < block.count; at += 1) yield { kind, name: block.name(at), value: block.value(at) };
  }
}

/** One block of some of the entries of one; null of none. */
function blockOf(entries: readonly KeptEntry[]): Buffer | null {
  let made: Buffer | null = null;
  const writer = new EntryBlockWriter((block) => {
    made = block.value;
  });
  for (const { name, value } of entries) writer.add(name, value);
  writer.end();
  return made;
}

function nameOfRecord(directory: DirectoryName): string {
  return recordPrefix + directory.text;
}

function lostRace(key: string): MillpoolError {
  return new MillpoolError({
    code: 'internal',
    message: `another process changed the partition map ${key}`,
    remedy: 'Run one node on one data directory.',
  });
}
