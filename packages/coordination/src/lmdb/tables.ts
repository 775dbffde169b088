import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { MillpoolError } from '@millpool/protocol';
import { open } from 'lmdb';
import type { Database, RootDatabase } from 'lmdb';
import { Packr } from 'msgpackr';
import type { ChangeEvent, KeyValue } from '../store.ts';
import { checkEnvironmentFile } from './environment-file.ts';

type Table = Database<Buffer, Buffer>;

/** Grows when the layout changes; an older or newer one is refused, not guessed at. */
const formatVersion = 1;
const packr = new Packr({ useRecords: false, copyBuffers: true });

/**
 * The four tables of the one LMDB environment, as typed rows:
 *
 *   entries   key → value, revisions, version, lease
 *   leased    lease (8 bytes), key → nothing: the keys of a lease
 *   history   revision (8 bytes), index (4 bytes) → the event
 *   numbers   name → format, revision, oldest, lease-last; lease/ID → seconds to live
 *
 * Reads outside a transaction see the last committed one; what changes rows is called inside `transaction` only.
 */
export class Tables {
  readonly #root: RootDatabase<Buffer, Buffer>;
  readonly #entries: Table;
  readonly #leased: Table;
  readonly #history: Table;
  readonly #numbers: Table;

  private constructor(root: RootDatabase<Buffer, Buffer>) {
    this.#root = root;
    const table = (name: string): Table => root.openDB({ name, encoding: 'binary', keyEncoding: 'binary' });
    this.#entries = table('entries');
    this.#leased = table('leased');
    this.#history = table('history');
    this.#numbers = table('numbers');
  }

  /** Makes the directory when it is not there. */
  static async open(directory: string): Promise<Tables> {
    const path = join(directory, 'coordination.mdb');
    try {
      mkdirSync(directory, { recursive: true, mode: 0o700 });
      checkEnvironmentFile(path);
      // A commit resolves only after its sync: with overlapping syncs it would be visible, and be acted on, before.
      const root = open<Buffer, Buffer>({
        path,
        noSubdir: true,
        encoding: 'binary',
        overlappingSync: false,
        // With it, a commit that fails rejects a promise that nobody can have.
        eventTurnBatching: false,
        maxDbs: 8,
      });
      const tables = new Tables(root);
      await tables.#checkFormat(path);
      return tables;
    } catch (error) {
      if (error instanceof MillpoolError) throw error;
      throw new MillpoolError(
        {
          code: 'io',
          message: `cannot open the coordination store ${path}: ${String(error)}`,
          remedy: openRemedy,
          path,
        },
        { cause: error },
      );
    }
  }

  /** All changes of `work`, or none; on the disk when it resolves. `work` must not throw after its first change. */
  async transaction<T>(work: () => T): Promise<T> {
    const result = await this.#root.transaction(work);
    await this.#root.flushed;
    return result;
  }

  /** Later reads see everything committed until now. */
  refresh(): void {
    this.#root.resetReadTxn();
  }

  async close(): Promise<void> {
    await this.#root.close();
  }

  number(name: string): number {
    const row = this.#numbers.get(Buffer.from(name));
    return row === undefined ? 0 : Number(row.readBigUInt64BE());
  }

  setNumber(name: string, value: number): void {
    this.#numbers.putSync(Buffer.from(name), numberKey(value));
  }

  removeNumber(name: string): void {
    this.#numbers.removeSync(Buffer.from(name));
  }

  /** Names that begin with `prefix`, what follows it, and their values. */
  numbersBelow(prefix: string): [rest: string, value: number][] {
    const rows = this.#numbers.getRange(boundsOf(prefix));
    return [...rows].map(({ key, value }) => [key.toString().slice(prefix.length), Number(value.readBigUInt64BE())]);
  }

  entry(key: string): KeyValue | null {
    const row = this.#entries.get(Buffer.from(key));
    return row === undefined ? null : entryOf(key, row);
  }

  putEntry(entry: KeyValue): void {
    const { value, createRevision, modRevision, version, lease } = entry;
    this.#entries.putSync(Buffer.from(entry.key), packr.pack([createRevision, modRevision, version, lease, value]));
    if (lease !== null) this.#leased.putSync(leasedKey(lease, entry.key), Buffer.alloc(0));
  }

  removeEntry(entry: KeyValue): void {
    this.#entries.removeSync(Buffer.from(entry.key));
    this.unlease(entry);
  }

  /** The entry no longer ends with its lease. */
  unlease(entry: KeyValue): void {
    if (entry.lease !== null) this.#leased.removeSync(leasedKey(entry.lease, entry.key));
  }

  entries(prefix: string, after: string | null, limit: number): KeyValue[] {
    const { start, end } = boundsOf(prefix);
    const next = after === null ? start : Buffer.concat([Buffer.from(after), Buffer.of(0)]);
    const from = Buffer.compare(next, start) > 0 ? next : start;
    if (end !== undefined && Buffer.compare(from, end) >= 0) return [];
    const rows = this.#entries.getRange({ start: from, limit, ...(end === undefined ? {} : { end }) });
    return [...rows].map(({ key, value }) => entryOf(key.toString(), value));
  }

  leasedEntries(lease: number): KeyValue[] {
    const rows = this.#leased.getKeys({ start: numberKey(lease), end: numberKey(lease + 1) });
    return [...rows].flatMap((row) => this.entry(row.subarray(8).toString()) ?? []);
  }

  appendHistory(revision: number, events: readonly ChangeEvent[]): void {
    for (const [index, event] of events.entries()) {
      this.#history.putSync(historyKey(revision, index), packr.pack(event));
    }
  }

  /** Events of `from` and later, of as many whole revisions as fit in about `limit` events, in order. */
  history(from: number, limit: number): { revision: number; events: ChangeEvent[] }[] {
    const changes: { revision: number; events: ChangeEvent[] }[] = [];
    let count = 0;
    for (const { key, value } of this.#history.getRange({ start: historyKey(from, 0) })) {
      const revision = Number(key.readBigUInt64BE());
      const last = changes.at(-1);
      const event = packr.unpack(value) as ChangeEvent;
      if (last?.revision === revision) last.events.push(event);
      else if (count >= limit) break;
      else changes.push({ revision, events: [event] });
      count += 1;
    }
    return changes;
  }

  forgetHistoryBefore(revision: number): void {
    const keys = [...this.#history.getKeys({ end: historyKey(revision, 0) })];
    for (const key of keys) this.#history.removeSync(key);
  }

  async #checkFormat(path: string): Promise<void> {
    const found = this.number('format');
    if (found === formatVersion) return;
    if (found === 0) {
      await this.transaction(() => this.setNumber('format', formatVersion));
      return;
    }
    await this.close();
    throw new MillpoolError({
      code: 'unsupported',
      message: `the coordination store ${path} has format ${found}; this version reads ${formatVersion}`,
      remedy: 'Use the version of Millpool that wrote it.',
      path,
    });
  }
}

const openRemedy = 'Check that the directory can be written and that its device has room.';

function entryOf(key: string, row: Buffer): KeyValue {
  const [createRevision, modRevision, version, lease, value] = packr.unpack(row) as [
    number,
    number,
    number,
    number | null,
    Uint8Array,
  ];
  return { key, value, createRevision, modRevision, version, lease };
}

/** Keys that begin with `prefix`: no byte of UTF-8 is 0xff, so the last byte has a successor. */
function boundsOf(prefix: string): { start: Buffer; end?: Buffer } {
  const start = Buffer.from(prefix);
  if (start.length === 0) return { start: Buffer.of(0) };
  const end = Buffer.from(start);
  end.writeUInt8(end.readUInt8(end.length - 1) + 1, end.length - 1);
  return { start, end };
}

function numberKey(value: number): Buffer {
  const key = Buffer.alloc(8);
  key.writeBigUInt64BE(BigInt(value));
  return key;
}

function leasedKey(lease: number, key: string): Buffer {
  return Buffer.concat([numberKey(lease), Buffer.from(key)]);
}

function historyKey(revision: number, index: number): Buffer {
  const key = Buffer.alloc(12);
  key.writeBigUInt64BE(BigInt(revision));
  key.writeUInt32BE(index, 8);
  return key;
}
