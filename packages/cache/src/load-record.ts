import type { CoordStore, KeyValue } from '@millpool/coordination';
import type { Log } from '@millpool/host';
import type { JobStatus, LoadRequest } from '@millpool/protocol';

/** In the coordination store: `load/NUMBER` holds a load as JSON, `load-last` the last number that was given. */
const loadPrefix = 'load/';
const lastKey = 'load-last';
const recordsAtOnce = 1_000;
const digits = 10;

/** What must not be lost of a load: what was asked, and how it ended. How far it is, the key table tells. */
export interface LoadRecord extends LoadRequest {
  readonly job: number;
  /** ISO 8601. */
  readonly startedAt: string;
  /** Everything up to this path, in path order, was read back already; null: nothing, or nothing is to be. */
  readonly verifiedThrough: string | null;
  /** Null while it is to go on. */
  readonly ended: LoadEnd | null;
}

export type LoadEnd = Pick<
  JobStatus,
  'state' | 'files' | 'filesDone' | 'bytes' | 'bytesDone' | 'failureCount' | 'error'
> & {
  /** ISO 8601. */
  readonly endedAt: string;
};

/** The loads that the coordination store knows. */
export class LoadRecords {
  readonly #coordination: CoordStore;
  readonly #log: Log;

  constructor(coordination: CoordStore, log: Log) {
    this.#coordination = coordination;
    this.#log = log;
  }

  /** In the order of their numbers. One that cannot be read is told, and left as it is. */
  async all(): Promise<readonly LoadRecord[]> {
    const records: LoadRecord[] = [];
    for (let after: string | null = null, more = true; more;) {
      const page = await this.#coordination.range({ prefix: loadPrefix, limit: recordsAtOnce, after });
      for (const entry of page.entries) {
        const record = decodeLoad(entry);
        if (record !== null) records.push(record);
        else this.#log.warn('a load in the coordination store is damaged, and does not go on', { key: entry.key });
      }
      more = page.more;
      after = page.entries.at(-1)?.key ?? null;
    }
    return records;
  }

  /** Numbers are never given twice, also when the loads that had them are forgotten. */
  async add(request: LoadRequest, startedAt: string): Promise<LoadRecord> {
    for (;;) {
      const last = await this.#coordination.get(lastKey);
      const job = (last === null ? 0 : Number(Buffer.from(last.value).toString())) + 1;
      const record: LoadRecord = { ...request, job, startedAt, verifiedThrough: null, ended: null };
      const number = { kind: 'put', key: lastKey, value: Buffer.from(String(job)) } as const;
      const isNext = { kind: 'mod-revision', key: lastKey, modRevision: last?.modRevision ?? 0 } as const;
      const then = [number, putOf(record)];
      if ((await this.#coordination.txn({ compare: [isNext], then, otherwise: [] })).succeeded) return record;
    }
  }

  async save(record: LoadRecord): Promise<void> {
    await this.#coordination.txn({ compare: [], then: [putOf(record)], otherwise: [] });
  }

  async remove(job: number): Promise<void> {
    await this.#coordination.txn({ compare: [], then: [{ kind: 'delete', key: keyOf(job) }], otherwise: [] });
  }
}

function putOf(record: LoadRecord): { readonly kind: 'put'; readonly key: string; readonly value: Uint8Array } {
  return { kind: 'put', key: keyOf(record.job), value: Buffer.from(JSON.stringify(record)) };
}

function keyOf(job: number): string {
  return loadPrefix + String(job).padStart(digits, '0');
}

function decodeLoad({ key, value }: KeyValue): LoadRecord | null {
  try {
    const record = JSON.parse(Buffer.from(value).toString()) as LoadRecord;
    const isWhole =
      Number.isSafeInteger(record.job) &&
      keyOf(record.job) === key &&
      typeof record.path === 'string' &&
      typeof record.verify === 'boolean' &&
      isLimit(record.limits.bytesPerSecond) &&
      isLimit(record.limits.getsAtOnce) &&
      Number.isFinite(Date.parse(record.startedAt)) &&
      (record.verifiedThrough === null || typeof record.verifiedThrough === 'string') &&
      (record.ended === null || Number.isFinite(Date.parse(record.ended.endedAt)));
    return isWhole ? record : null;
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError) return null;
    throw error;
  }
}

function isLimit(value: unknown): boolean {
  return value === null || (typeof value === 'number' && value >= 1 && Number.isFinite(value));
}
