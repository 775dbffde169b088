import { NameCache, NameTable } from '@millpool/native';
import type { FoundNames } from '@millpool/native';

import type { Directory } from './directory.ts';
import type { Entries } from './entries.ts';
import { partitionsOf, shardOf } from './partition-map.ts';
import type { Partitions } from './partitions.ts';
import type { MetadataStore } from './store/environment.ts';
import { entryClasses, entryPrefix, successorOf } from './store/keys.ts';
import type { DirectoryRecord } from './store/records.ts';
import type { Turns } from './turns.ts';

interface Parts {
  readonly store: MetadataStore;
  readonly partitions: Partitions;
  readonly entries: Entries;
  readonly turns: Turns;
  /** Milliseconds since 1970, never going back while the process lives. */
  readonly nowMs: () => number;
  /** Half of it for tables, half for one that is being made; 0: none is made. */
  readonly bytesMax: number;
}

/** Names of a directory that were looked up in the store. */
export interface StoreLookups {
  readonly directory: Directory;
  /** As it is stored: whole. */
  readonly record: DirectoryRecord;
  readonly freshUntilMs: number;
  readonly names: number;
  /** The directory's record at the time of the call. */
  readonly current: () => DirectoryRecord | null;
}

/** A table costs, for each of its names, a thirtieth of what it spares of one look-up. */
const namesALookup = 32;
/** Of most files, with their places in a table. */
const nameBytes = 64;
/** Fullness is asked about again after that. */
const fullMs = 60_000;
const countedMax = 100_000;
const waitingMax = 10_000;
const blocksATurn = 64;

/**
 * Files of directories that are looked up much, in native tables: one call finds all names of a batch, as what the data
 * path asks sources for, at a tenth of what it costs to look them up in the store one by one. A table is a copy of what
 * is stored, answers as long as that is fresh, and goes when it changes. It knows files alone, and no absence: what is
 * not found there is looked up in the store.
 */
export class HotNames {
  readonly #parts: Parts;
  readonly #cache: NameCache;
  /** Look-ups in the store since the directory's table was wanted last, by id. */
  readonly #lookups = new Map<string, number>();
  readonly #waiting = new Map<string, StoreLookups>();
  #fullUntilMs = Number.NEGATIVE_INFINITY;
  /** Grows when no table that is being made is to be kept. */
  #clears = 0;
  #isStopped = false;
  #making: Promise<void> = Promise.resolve();
  #isMaking = false;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#cache = new NameCache(Math.floor(parts.bytesMax / 2));
  }

  find(paths: readonly string[]): FoundNames {
    return this.#cache.find(paths, this.#parts.nowMs());
  }

  /** When a directory's names are looked up more than a table costs, it gets one. */
  lookedUp(lookups: StoreLookups): void {
    const { directory, record, freshUntilMs, names } = lookups;
    const { entries } = this.#parts;
    if (directory.part !== null || this.#parts.bytesMax === 0) return;
    if (this.#cache.renew(keyOf(directory), { generation: record.generation, freshUntilMs })) return;
    const count = (this.#lookups.get(directory.text) ?? 0) + names;
    if (this.#lookups.size > countedMax) this.#lookups.clear();
    this.#lookups.set(directory.text, count);
    const stored = entries.countOf(directory);
    const isWorthIt = namesALookup * count >= stored && nameBytes * stored <= this.#parts.bytesMax / 2;
    if (!isWorthIt || this.#parts.nowMs() < this.#fullUntilMs || this.#waiting.size >= waitingMax) return;
    this.#lookups.delete(directory.text);
    this.#waiting.set(directory.text, lookups);
    if (!this.#isMaking) this.#making = this.#makeAll();
  }

  /** Its content is another one now, or none. */
  changed(directory: Directory): void {
    this.#cache.drop(keyOf(directory));
  }

  /** Which directory a path is in may be another one from now on. */
  clear(): void {
    this.#clears += 1;
    this.#waiting.clear();
    this.#cache.clear();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.clear();
    await this.#making;
  }

  async #makeAll(): Promise<void> {
    this.#isMaking = true;
    for (const [text, lookups] of this.#waiting) {
      // One that is damaged is found so where it is looked up.
      await this.#make(lookups).catch(() => undefined);
      this.#waiting.delete(text);
    }
    this.#isMaking = false;
  }

  async #make({ directory, record, freshUntilMs, current }: StoreLookups): Promise<void> {
    const { store, partitions, entries, turns, nowMs } = this.#parts;
    const clears = this.#clears;
    const isWanted = (): boolean => clears === this.#clears && !this.#isStopped;
    const table = new NameTable(directory.attachment, directory.prefix, entries.countOf(directory));
    const map = partitions.mapOf(directory);
    for (const partition of partitionsOf(map)) {
      const place = { id: directory.id, shard: shardOf(map, partition), partition, kind: entryClasses.plainFile };
      const start = entryPrefix(place);
      for (const chunk of store.chunks({ start, end: successorOf(start) }, blocksATurn)) {
        for (const { value } of chunk) table.add(value);
        await turns.next();
        if (!isWanted()) return;
      }
    }
    const now = current();
    // What was read meanwhile may be of two contents.
    if (now?.state !== 'complete' || now.generation !== record.generation) return;
    const freshness = { generation: record.generation, freshUntilMs };
    if (!this.#cache.put(keyOf(directory), table, freshness, nowMs())) this.#fullUntilMs = nowMs() + fullMs;
  }
}

function keyOf({ path }: Directory): string {
  return path === '/' ? '' : path;
}
