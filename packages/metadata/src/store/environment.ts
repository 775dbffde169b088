import { closeSync, existsSync, mkdirSync, openSync, readSync, renameSync } from 'node:fs';
import { join } from 'node:path';

import { commitFailure } from '@millpool/coordination';
import type { Log } from '@millpool/host';
import { MillpoolError } from '@millpool/protocol';
import { open } from 'lmdb';
import type { RootDatabase } from 'lmdb';

import type { KeyRange } from './keys.ts';

export interface Pair {
  readonly key: Buffer;
  readonly value: Buffer;
}

/** A null value removes the key. */
export interface Write {
  readonly key: Buffer;
  readonly value: Buffer | null;
}

export interface StoreConfig {
  readonly directory: string;
  /** Name of the coordination store that the attachments' ids are of. */
  readonly coordination: string;
  readonly log: Log;
}

/** What LMDB says of the pages of its one table. */
interface StoreStats {
  readonly treeBranchPageCount: number;
  readonly treeLeafPageCount: number;
  readonly overflowPages: number;
}

/** A range that is gone through again and again, from another start each time: to make one costs as much as to read. */
interface Floor {
  readonly from: { start: Buffer };
  readonly keys: Iterable<Buffer>;
}

const versionKey = Buffer.from([0]);
const layoutVersion = 'millpool metadata 2';
/** Pages of 8 KiB let keys be 4,026 bytes: a source key of 1,024, each byte of it escaped, fits. */
const pageBytes = 8192;
const magicAt = 24;
const magic = 0xbeefc0de;
const mapBytes = 2 ** 40;

/**
 * The LMDB environment of one metadata service. All in it can be listed again from the sources, so one that this
 * version cannot read, or that belongs to another coordination store (whose attachments have other ids), is set aside,
 * with a notice, and an empty one takes its place.
 */
export class MetadataStore {
  readonly #file: string;
  #database: RootDatabase<Buffer, Buffer> | null;
  readonly #floor: Floor;

  private constructor(file: string, database: RootDatabase<Buffer, Buffer>) {
    this.#file = file;
    this.#database = database;
    const from = { start: versionKey, reverse: true, limit: 1 };
    this.#floor = { from, keys: database.getKeys(from) };
  }

  static async open({ directory, coordination, log }: StoreConfig): Promise<MetadataStore> {
    mkdirSync(directory, { recursive: true });
    const file = join(directory, 'namespace.mdb');
    const word = `${layoutVersion} of ${coordination}`;
    const store = await openKnown(file, word, log);
    if (store !== null) return new MetadataStore(file, store);
    setAside(file, log);
    const fresh = await openKnown(file, word, log);
    if (fresh === null) throw unusable(file);
    return new MetadataStore(file, fresh);
  }

  /** A copy: yours for good. */
  get(key: Buffer): Buffer | undefined {
    return this.#opened().get(key);
  }

  first(range: KeyRange, limit: number): Pair[] {
    return [...this.#opened().getRange({ start: range.start, end: range.end, limit })];
  }

  /** The pair with the greatest key that is `key` or before it, and begins with `prefix`. */
  floor(prefix: Buffer, key: Buffer): Pair | undefined {
    const [found] = this.#opened().getRange({ start: key, reverse: true, limit: 1 });
    return found?.key.subarray(0, prefix.length).equals(prefix) === true ? found : undefined;
  }

  /**
   * What `read` makes of the value that `floor` would find; null without one. The value is not copied, which costs as
   * much as all the rest, and is the next read's as soon as this one ends: nothing of it may be kept.
   */
  atFloor<Of>(prefix: Buffer, key: Buffer, read: (value: Buffer) => Of): Of | null {
    const database = this.#opened();
    this.#floor.from.start = key;
    const [found] = this.#floor.keys;
    if (found?.subarray(0, prefix.length).equals(prefix) !== true) return null;
    const value = database.getBinaryFast(found);
    if (value === undefined) throw new Error('a key that was there has no value');
    return read(value);
  }

  /** Of the pages that are in use. */
  get usedBytes(): number {
    const { treeBranchPageCount, treeLeafPageCount, overflowPages } = this.#opened().getStats() as StoreStats;
    return (treeBranchPageCount + treeLeafPageCount + overflowPages) * pageBytes;
  }

  /** In runs of up to `size`, each read by itself, so that a caller may await and write between them. */
  *chunks(range: KeyRange, size: number): Generator<Pair[]> {
    let start = range.start;
    for (;;) {
      const chunk = this.first({ start, end: range.end }, size);
      if (chunk.length > 0) yield chunk;
      const last = chunk.at(-1);
      if (last === undefined || chunk.length < size) return;
      start = Buffer.concat([last.key, Buffer.of(0)]);
    }
  }

  /**
   * One transaction, on disk when the promise ends. Sorted here: LMDB is many times faster so. Of one key the last
   * write holds.
   */
  async write(writes: readonly Write[]): Promise<void> {
    if (writes.length === 0) return;
    const sorted = writes.toSorted((left, right) => left.key.compare(right.key));
    const database = this.#opened();
    const parts: Promise<unknown>[] = [];
    parts.push(
      database.batch(() => {
        for (const { key, value } of sorted)
          parts.push(value === null ? database.remove(key) : database.put(key, value));
      }),
    );
    try {
      await Promise.all(parts);
    } catch (error) {
      throw await commitFailure(error, 'a listing');
    }
  }

  async clear(range: KeyRange): Promise<void> {
    for (const chunk of this.chunks(range, 8192)) await this.write(chunk.map(({ key }) => ({ key, value: null })));
  }

  async close(): Promise<void> {
    const database = this.#database;
    this.#database = null;
    await database?.close();
  }

  /** LMDB itself does not survive being read after it was closed. */
  #opened(): RootDatabase<Buffer, Buffer> {
    if (this.#database !== null) return this.#database;
    throw new MillpoolError({
      code: 'closed',
      message: `the metadata store ${this.#file} was closed`,
      remedy: 'Start the node again.',
    });
  }
}

/** Null where the file is there and says another word, or none at all. */
async function openKnown(file: string, word: string, log: Log): Promise<RootDatabase<Buffer, Buffer> | null> {
  const known = existsSync(file);
  if (known && !isEnvironment(file)) {
    log.warn('metadata store is no LMDB file', { file });
    return null;
  }
  let database: RootDatabase<Buffer, Buffer>;
  try {
    database = open<Buffer, Buffer>({
      path: file,
      noSubdir: true,
      encoding: 'binary',
      keyEncoding: 'binary',
      pageSize: pageBytes,
      mapSize: mapBytes,
      // With it, a commit that fails rejects a promise that nobody can have.
      eventTurnBatching: false,
    });
  } catch (error) {
    log.warn('metadata store cannot be opened', { file, error: String(error) });
    return null;
  }
  if (!known) await database.put(versionKey, Buffer.from(word));
  const found = database.get(versionKey)?.toString('utf8');
  if (found === word) return database;
  log.warn('metadata store is of another version or node', { file, found: found ?? 'none', expected: word });
  await database.close();
  return null;
}

/** Both meta pages begin like LMDB's; opening anything else ends the process with a segmentation fault (lmdb 3.5). */
function isEnvironment(file: string): boolean {
  const head = Buffer.alloc(2 * pageBytes);
  const descriptor = openSync(file, 'r');
  try {
    const length = readSync(descriptor, head, 0, head.length, 0);
    const magics = [magicAt, pageBytes + magicAt].map((at) => head.readUInt32LE(at));
    return length === 0 || magics.every((found) => found === magic);
  } finally {
    closeSync(descriptor);
  }
}

function setAside(file: string, log: Log): void {
  let number = 1;
  while (existsSync(`${file}.set-aside-${number}`)) number += 1;
  const aside = `${file}.set-aside-${number}`;
  renameSync(file, aside);
  if (existsSync(`${file}-lock`)) renameSync(`${file}-lock`, `${aside}-lock`);
  log.warn('metadata store was set aside; directories are listed again', { aside });
}

function unusable(file: string): MillpoolError {
  return new MillpoolError({
    code: 'io',
    message: `the metadata store ${file} cannot be opened`,
    remedy: 'See whether its disk has room and the user may write there.',
  });
}
