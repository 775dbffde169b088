import type { ChangeEvent, Compare, KeyValue, Operation, OperationResult, Txn, TxnReply } from '../store.ts';
import type { Tables } from './tables.ts';

/** What came of a transaction, decided inside it; a lease that is not there stops it before its first change. */
export type Applied =
  | { readonly kind: 'done'; readonly reply: TxnReply }
  | { readonly kind: 'no-lease'; readonly lease: number };

/** Runs inside a transaction of the tables. */
export function applyTxn(tables: Tables, txn: Txn, historyRevisions: number): Applied {
  const succeeded = txn.compare.every((comparison) => holds(tables, comparison));
  const operations = succeeded ? txn.then : txn.otherwise;
  for (const operation of operations) {
    if (operation.kind !== 'put' || operation.lease === undefined) continue;
    if (tables.number(leaseName(operation.lease)) === 0) return { kind: 'no-lease', lease: operation.lease };
  }
  const revisionBefore = tables.number('revision');
  const events: ChangeEvent[] = [];
  const results = operations.map((operation) => applyOperation(tables, operation, revisionBefore + 1, events));
  const revision = record(tables, events, historyRevisions);
  return { kind: 'done', reply: { succeeded, revision, results } };
}

/** Deletes the lease and its keys; the store's revision afterwards, or null when there is no such lease. */
export function applyRevoke(tables: Tables, lease: number, historyRevisions: number): number | null {
  if (tables.number(leaseName(lease)) === 0) return null;
  tables.removeNumber(leaseName(lease));
  const events = tables.leasedEntries(lease).map((entry) => removed(tables, entry));
  return record(tables, events, historyRevisions);
}

export const leasePrefix = 'lease/';

export function leaseName(lease: number): string {
  return `${leasePrefix}${lease}`;
}

/** Makes one revision of the events, if there are any; the store's revision afterwards. */
function record(tables: Tables, events: readonly ChangeEvent[], historyRevisions: number): number {
  const before = tables.number('revision');
  if (events.length === 0) return before;
  const revision = before + 1;
  tables.setNumber('revision', revision);
  tables.appendHistory(revision, events);
  const oldest = revision - historyRevisions + 1;
  if (oldest > 1) {
    tables.forgetHistoryBefore(oldest);
    tables.setNumber('oldest', oldest);
  }
  return revision;
}

function holds(tables: Tables, comparison: Compare): boolean {
  const entry = tables.entry(comparison.key);
  switch (comparison.kind) {
    case 'exists':
      return (entry !== null) === comparison.exists;
    case 'mod-revision':
      return (entry?.modRevision ?? 0) === comparison.modRevision;
    case 'value':
      return entry !== null && Buffer.compare(entry.value, comparison.value) === 0;
  }
}

function applyOperation(
  tables: Tables,
  operation: Operation,
  revision: number,
  events: ChangeEvent[],
): OperationResult {
  switch (operation.kind) {
    case 'get':
      return { kind: 'get', entry: tables.entry(operation.key) };
    case 'put': {
      const entry = successor(tables, operation, revision);
      tables.putEntry(entry);
      events.push({ kind: 'put', entry });
      return { kind: 'put' };
    }
    case 'delete': {
      const entry = tables.entry(operation.key);
      if (entry !== null) events.push(removed(tables, entry));
      return { kind: 'delete', count: entry === null ? 0 : 1 };
    }
    case 'delete-prefix': {
      const entries = tables.entries(operation.prefix, null, Number.MAX_SAFE_INTEGER);
      events.push(...entries.map((entry) => removed(tables, entry)));
      return { kind: 'delete', count: entries.length };
    }
  }
}

/** What the key holds after the put. As in etcd, a put without a lease takes the key out of the one that it had. */
function successor(tables: Tables, put: Operation & { kind: 'put' }, revision: number): KeyValue {
  const before = tables.entry(put.key);
  if (before !== null) tables.unlease(before);
  return {
    key: put.key,
    value: put.value,
    createRevision: before?.createRevision ?? revision,
    modRevision: revision,
    version: (before?.version ?? 0) + 1,
    lease: put.lease ?? null,
  };
}

function removed(tables: Tables, entry: KeyValue): ChangeEvent {
  tables.removeEntry(entry);
  return { kind: 'delete', key: entry.key };
}
