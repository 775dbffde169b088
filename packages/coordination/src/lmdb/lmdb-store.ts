import { abortError, silentLog, systemClock, unlessAborted } from '@millpool/host';
import type { Clock, Log } from '@millpool/host';
import { MillpoolError } from '@millpool/protocol';
import { CompactedError } from '../compacted-error.ts';
import type {
  Change,
  CoordStore,
  CoordSupports,
  KeyValue,
  Lease,
  RangeReply,
  RangeRequest,
  Txn,
  TxnReply,
  WatchRequest,
} from '../store.ts';
import { checkKey, checkPrefix, checkTxn, checkWhole } from '../txn-check.ts';
import { commitFailure } from './commit-failure.ts';
import { applyRevoke, applyTxn, leaseName, leasePrefix } from './apply.ts';
import { LeaseTimers } from './lease-timers.ts';
import { Tables } from './tables.ts';

export interface LmdbStoreConfig {
  readonly clock?: Clock;
  readonly log?: Log;
  readonly historyRevisions?: number;
}

const historyRevisionsDefault = 10_000;
const watchEventsAtOnce = 1_000;
/** Until the next attempt to end a lease whose end could not be written (a full device). */
const expiryRetryMs = 1_000;

/** The store of one machine, for one process at a time. Makes the directory when it is not there. */
export async function openLmdbStore(directory: string, config: LmdbStoreConfig = {}): Promise<CoordStore> {
  return LmdbStore.open(await Tables.open(directory), config);
}

class LmdbStore implements CoordStore {
  readonly supports: CoordSupports;
  readonly #tables: Tables;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #leases: LeaseTimers;
  readonly #closing = new AbortController();
  /** Transactions that have not resolved. */
  readonly #underWay = new Set<Promise<unknown>>();
  /** Watchers that have seen everything; all are woken by each commit. */
  readonly #waiting = new Set<() => void>();

  private constructor(tables: Tables, { clock = systemClock, log = silentLog, historyRevisions }: LmdbStoreConfig) {
    this.#tables = tables;
    this.#clock = clock;
    this.#log = log;
    this.#leases = new LeaseTimers(clock, (lease) => void this.#expire(lease));
    this.supports = Object.freeze({
      driver: 'lmdb',
      shared: false,
      historyRevisions: historyRevisions ?? historyRevisionsDefault,
      keyBytesMax: 1_024,
      valueBytesMax: 1_048_576,
      txnLengthMax: 128,
    });
  }

  static open(tables: Tables, config: LmdbStoreConfig): LmdbStore {
    const store = new LmdbStore(tables, config);
    for (const [lease, ttlSeconds] of tables.numbersBelow(leasePrefix)) store.#leases.start(Number(lease), ttlSeconds);
    return store;
  }

  async get(key: string): Promise<KeyValue | null> {
    this.#checkOpen();
    checkKey(key, this.supports);
    return this.#tables.entry(key);
  }

  async range({ prefix, limit, after }: RangeRequest): Promise<RangeReply> {
    this.#checkOpen();
    checkPrefix(prefix, this.supports);
    checkWhole('the limit', limit, 1);
    if (after !== null) checkKey(after, this.supports);
    const found = this.#tables.entries(prefix, after, limit + 1);
    return { entries: found.slice(0, limit), more: found.length > limit, revision: this.#tables.number('revision') };
  }

  async txn(txn: Txn): Promise<TxnReply> {
    this.#checkOpen();
    checkTxn(txn, this.supports);
    const applied = await this.#commit(() => applyTxn(this.#tables, txn, this.supports.historyRevisions));
    if (applied.kind === 'no-lease') throw noLease(applied.lease);
    return applied.reply;
  }

  async *watch({ prefix, fromRevision, signal }: WatchRequest): AsyncIterable<Change> {
    checkPrefix(prefix, this.supports);
    checkWhole('the revision to watch from', fromRevision, 1);
    const ended = AbortSignal.any([signal, this.#closing.signal]);
    let next = fromRevision;
    for (;;) {
      if (ended.aborted) throw abortError(ended);
      const oldest = Math.max(1, this.#tables.number('oldest'));
      if (next < oldest) throw new CompactedError(next, oldest);
      const changes = this.#tables.history(next, watchEventsAtOnce);
      if (changes.length === 0) await unlessAborted(ended, new Promise<void>((wake) => this.#waiting.add(wake)));
      for (const { revision, events } of changes) {
        const matching = events.filter((event) => keyOf(event).startsWith(prefix));
        next = revision + 1;
        if (matching.length > 0) yield { revision, events: matching };
        if (ended.aborted) throw abortError(ended);
      }
    }
  }

  async grantLease(ttlSeconds: number): Promise<Lease> {
    this.#checkOpen();
    checkWhole('the lease time in seconds', ttlSeconds, 1);
    const id = await this.#commit(() => {
      const granted = this.#tables.number('lease-last') + 1;
      this.#tables.setNumber('lease-last', granted);
      this.#tables.setNumber(leaseName(granted), ttlSeconds);
      return granted;
    });
    if (!this.#closing.signal.aborted) this.#leases.start(id, ttlSeconds);
    return { id, ttlSeconds };
  }

  async keepLease(lease: number): Promise<Lease> {
    this.#checkOpen();
    const ttlSeconds = this.#leases.ttlSecondsOf(lease);
    if (ttlSeconds === null) throw noLease(lease);
    this.#leases.start(lease, ttlSeconds);
    return { id: lease, ttlSeconds };
  }

  async revokeLease(lease: number): Promise<void> {
    this.#checkOpen();
    checkWhole('the lease', lease, 1);
    this.#leases.stop(lease);
    if (!(await this.#revoke(lease))) throw noLease(lease);
  }

  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort(closedError());
    this.#leases.stopAll();
    await Promise.allSettled(this.#underWay);
    await this.#tables.close();
  }

  async #revoke(lease: number): Promise<boolean> {
    return (await this.#commit(() => applyRevoke(this.#tables, lease, this.supports.historyRevisions))) !== null;
  }

  async #expire(lease: number): Promise<void> {
    if (this.#closing.signal.aborted) return;
    try {
      await this.#revoke(lease);
      this.#log.info('lease expired', { lease });
    } catch (error) {
      this.#log.error('an expired lease could not be ended', { lease, error });
      this.#clock.after(expiryRetryMs, () => void this.#expire(lease));
    }
  }

  async #commit<T>(work: () => T): Promise<T> {
    const commit = this.#tables.transaction(work);
    this.#underWay.add(commit);
    try {
      return await commit;
    } catch (error) {
      throw await commitFailure(error, 'what is attached');
    } finally {
      this.#underWay.delete(commit);
      this.#tables.refresh();
      for (const wake of this.#waiting) wake();
      this.#waiting.clear();
    }
  }

  #checkOpen(): void {
    if (this.#closing.signal.aborted) throw closedError();
  }
}

function keyOf(event: Change['events'][number]): string {
  return event.kind === 'put' ? event.entry.key : event.key;
}

function noLease(lease: number): MillpoolError {
  return new MillpoolError({
    code: 'not-found',
    message: `there is no lease ${lease}: it expired, was revoked, or never was`,
    remedy: 'Grant a new lease and put its keys again.',
  });
}

function closedError(): MillpoolError {
  return new MillpoolError({ code: 'closed', message: 'the coordination store was closed', remedy: 'Open it again.' });
}
