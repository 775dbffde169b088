import { abortError, unlessAborted } from '@millpool/host';
import type { Clock } from '@millpool/host';
import { MillpoolError } from '@millpool/protocol';

import { CompactedError } from '../compacted-error.ts';
import { LeaseTimers } from '../lmdb/lease-timers.ts';
import type {
  Change,
  ChangeEvent,
  Compare,
  CoordStore,
  CoordSupports,
  KeyValue,
  Lease,
  Operation,
  OperationResult,
  RangeReply,
  RangeRequest,
  Txn,
  TxnReply,
  WatchRequest,
} from '../store.ts';
import { checkKey, checkPrefix, checkTxn, checkWhole } from '../txn-check.ts';

/** A store in memory, on any clock, for simulations; its state can be opened again, as after a restart. */
export class MemoryStore implements CoordStore {
  readonly supports: CoordSupports;
  readonly #state: MemoryState;
  readonly #leases: LeaseTimers;
  readonly #closing = new AbortController();

  constructor(state: MemoryState, clock: Clock) {
    this.#state = state;
    this.#leases = new LeaseTimers(clock, (lease) => void this.revokeLease(lease).catch(() => undefined));
    for (const [lease, ttlSeconds] of state.leases) this.#leases.start(lease, ttlSeconds);
    this.supports = {
      driver: 'lmdb',
      shared: true,
      historyRevisions: state.historyRevisions,
      keyBytesMax: 1_024,
      valueBytesMax: 1_048_576,
      txnLengthMax: 128,
    };
  }

  async get(key: string): Promise<KeyValue | null> {
    this.#checkOpen();
    checkKey(key, this.supports);
    return copyOf(this.#state.entries.get(key) ?? null);
  }

  async range({ prefix, limit, after }: RangeRequest): Promise<RangeReply> {
    this.#checkOpen();
    checkPrefix(prefix, this.supports);
    checkWhole('the limit', limit, 1);
    const found = this.#state
      .below(prefix)
      .filter(({ key }) => after === null || byteOrder(key, after) > 0)
      .slice(0, limit + 1);
    const entries = found.slice(0, limit).map((entry) => copyOf(entry) as KeyValue);
    return { entries, more: found.length > limit, revision: this.#state.revision };
  }

  async txn(txn: Txn): Promise<TxnReply> {
    this.#checkOpen();
    checkTxn(txn, this.supports);
    return this.#state.apply(txn);
  }

  async *watch({ prefix, fromRevision, signal }: WatchRequest): AsyncIterable<Change> {
    checkWhole('the revision to watch from', fromRevision, 1);
    const ended = AbortSignal.any([signal, this.#closing.signal]);
    for (let next = fromRevision; ;) {
      if (ended.aborted) throw abortError(ended);
      if (next < this.#state.oldest) throw new CompactedError(next, this.#state.oldest);
      const change = this.#state.changeOf(next);
      if (change === undefined) {
        await unlessAborted(ended, this.#state.changed());
        continue;
      }
      next += 1;
      const events = change.events.filter((event) => keyOf(event).startsWith(prefix));
      if (events.length > 0) yield { revision: change.revision, events };
    }
  }

  async grantLease(ttlSeconds: number): Promise<Lease> {
    this.#checkOpen();
    checkWhole('the lease time in seconds', ttlSeconds, 1);
    const id = this.#state.grant(ttlSeconds);
    this.#leases.start(id, ttlSeconds);
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
    this.#leases.stop(lease);
    if (!this.#state.revoke(lease)) throw noLease(lease);
  }

  async close(): Promise<void> {
    this.#leases.stopAll();
    this.#closing.abort(closedError());
  }

  #checkOpen(): void {
    if (this.#closing.signal.aborted) throw closedError();
  }
}

/** What a store knows: a map, a counter, and what was changed lately. */
export class MemoryState {
  readonly historyRevisions: number;
  readonly entries = new Map<string, KeyValue>();
  /** Their times in seconds. */
  readonly leases = new Map<number, number>();
  #history: Change[] = [];
  #revision = 0;
  #lastLease = 0;
  #waiting: (() => void)[] = [];

  constructor(historyRevisions = 10_000) {
    this.historyRevisions = historyRevisions;
  }

  get revision(): number {
    return this.#revision;
  }

  /** The first revision of which the change is kept. */
  get oldest(): number {
    return this.#revision - this.#history.length + 1;
  }

  changeOf(revision: number): Change | undefined {
    return this.#history[revision - this.oldest];
  }

  /** Resolves with the next change. */
  changed(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** In the order of the keys' bytes. */
  below(prefix: string): KeyValue[] {
    return [...this.entries.values()]
      .filter(({ key }) => key.startsWith(prefix))
      .sort((left, right) => byteOrder(left.key, right.key));
  }

  grant(ttlSeconds: number): number {
    this.#lastLease += 1;
    this.leases.set(this.#lastLease, ttlSeconds);
    return this.#lastLease;
  }

  revoke(lease: number): boolean {
    if (!this.leases.delete(lease)) return false;
    this.#commit(
      this.below('')
        .filter((entry) => entry.lease === lease)
        .map((entry) => this.#remove(entry)),
    );
    return true;
  }

  apply({ compare, then, otherwise }: Txn): TxnReply {
    const succeeded = compare.every((comparison) => this.#holds(comparison));
    const operations = succeeded ? then : otherwise;
    for (const operation of operations) {
      const lease = operation.kind === 'put' ? operation.lease : undefined;
      if (lease !== undefined && !this.leases.has(lease)) throw noLease(lease);
    }
    const events: ChangeEvent[] = [];
    const results = operations.map((operation) => this.#do(operation, events));
    this.#commit(events);
    return { succeeded, revision: this.#revision, results };
  }

  #holds(comparison: Compare): boolean {
    const entry = this.entries.get(comparison.key);
    switch (comparison.kind) {
      case 'exists':
        return (entry !== undefined) === comparison.exists;
      case 'mod-revision':
        return (entry?.modRevision ?? 0) === comparison.modRevision;
      case 'value':
        return entry !== undefined && Buffer.compare(entry.value, comparison.value) === 0;
    }
  }

  #do(operation: Operation, events: ChangeEvent[]): OperationResult {
    switch (operation.kind) {
      case 'get':
        return { kind: 'get', entry: copyOf(this.entries.get(operation.key) ?? null) };
      case 'put': {
        const { key, lease } = operation;
        const before = this.entries.get(key);
        const modRevision = this.#revision + 1;
        const createRevision = before?.createRevision ?? modRevision;
        const kept = { key, createRevision, modRevision, version: (before?.version ?? 0) + 1, lease: lease ?? null };
        const entry = { ...kept, value: Uint8Array.from(operation.value) };
        this.entries.set(key, entry);
        events.push({ kind: 'put', entry });
        return { kind: 'put' };
      }
      case 'delete': {
        const entry = this.entries.get(operation.key);
        if (entry !== undefined) events.push(this.#remove(entry));
        return { kind: 'delete', count: entry === undefined ? 0 : 1 };
      }
      case 'delete-prefix': {
        const doomed = this.below(operation.prefix);
        for (const entry of doomed) events.push(this.#remove(entry));
        return { kind: 'delete', count: doomed.length };
      }
    }
  }

  #remove({ key }: KeyValue): ChangeEvent {
    this.entries.delete(key);
    return { kind: 'delete', key };
  }

  #commit(events: readonly ChangeEvent[]): void {
    if (events.length === 0) return;
    this.#revision += 1;
    this.#history.push({ revision: this.#revision, events });
    if (this.#history.length > this.historyRevisions) this.#history.shift();
    for (const wake of this.#waiting.splice(0)) wake();
  }
}

function byteOrder(left: string, right: string): number {
  return Buffer.compare(Buffer.from(left), Buffer.from(right));
}

function keyOf(event: ChangeEvent): string {
  return event.kind === 'put' ? event.entry.key : event.key;
}

function copyOf(entry: KeyValue | null): KeyValue | null {
  return entry === null ? null : { ...entry, value: Uint8Array.from(entry.value) };
}

function noLease(lease: number): MillpoolError {
  return new MillpoolError({ code: 'not-found', message: `there is no lease ${lease}`, remedy: 'Grant a new one.' });
}

function closedError(): MillpoolError {
  return new MillpoolError({ code: 'closed', message: 'the store was closed', remedy: 'Open it again.' });
}
