export { CompactedError } from './compacted-error.ts';
export { HeldLease } from './held-lease.ts';
export type { LeaseTimes } from './held-lease.ts';
export { LiveRange } from './live-range.ts';
export { commitFailure } from './lmdb/commit-failure.ts';
export { openLmdbStore } from './lmdb/lmdb-store.ts';
export type { LmdbStoreConfig } from './lmdb/lmdb-store.ts';
export type {
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
} from './store.ts';
