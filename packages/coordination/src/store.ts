/**
 * The small strict store of what must not be lost or guessed: attachments, pins, owners. Modelled on etcd, so that etcd
 * can stand behind it: one revision number for the whole store grows by one with each transaction that changes it.
 *
 * Keys are well-formed text in the order of their UTF-8 bytes; values are bytes. What a call returns is the caller's.
 * Every promise rejects with a MillpoolError: `invalid` for what breaks `supports`, `closed` after `close`.
 */
export interface CoordStore {
  readonly supports: CoordSupports;

  /** Null: no such key. Sees every transaction that was acknowledged before the call. */
  get(key: string): Promise<KeyValue | null>;

  /** One page, as of one revision; pages asked for one after another may be of different revisions. */
  range(request: RangeRequest): Promise<RangeReply>;

  /**
   * All of `then` when every comparison holds, else all of `otherwise`; atomically, and durable before it resolves.
   * A put under a lease that is gone is `not-found`, and then nothing is done. A rejection with `timeout` or
   * `unreachable` leaves open whether it was done.
   */
  txn(txn: Txn): Promise<TxnReply>;

  /**
   * Every change of `prefix` from `fromRevision` on (that one included), in order, without gaps, and forever: after a
   * range, watch from its revision + 1. Throws `CompactedError` when changes it should begin with are no longer kept,
   * the signal's error when that aborts, `closed` when the store closes.
   */
  watch(request: WatchRequest): AsyncIterable<Change>;

  /** A lease lives for `ttlSeconds` after it was granted or kept last; then its keys are deleted in one transaction. */
  grantLease(ttlSeconds: number): Promise<Lease>;
  /** `not-found` when it is gone already. */
  keepLease(lease: number): Promise<Lease>;
  /** Deletes its keys now. `not-found` when it is gone already. */
  revokeLease(lease: number): Promise<void>;

  /** Waits for transactions under way. Leases stay, and begin anew when what serves them does. */
  close(): Promise<void>;
}

/** What a driver can do, for callers and for the contract suite to read. */
export interface CoordSupports {
  readonly driver: 'lmdb' | 'etcd';
  /** Other machines see the same store. */
  readonly shared: boolean;
  /** A change is kept for watchers for at least this many revisions. */
  readonly historyRevisions: number;
  readonly keyBytesMax: number;
  readonly valueBytesMax: number;
  /** Of comparisons, and of operations in each branch. */
  readonly txnLengthMax: number;
}

export interface KeyValue {
  readonly key: string;
  readonly value: Uint8Array;
  /** Revision of the put that made the key, and of the last put. */
  readonly createRevision: number;
  readonly modRevision: number;
  /** 1 when made, one more with each put; begins again after a delete. */
  readonly version: number;
  /** The lease it ends with, if any. */
  readonly lease: number | null;
}

export interface RangeRequest {
  /** Empty: every key. */
  readonly prefix: string;
  readonly limit: number;
  /** Only keys after this one; null from the first. */
  readonly after: string | null;
}

export interface RangeReply {
  /** In key order. */
  readonly entries: readonly KeyValue[];
  /** There are further keys of the prefix after the last one. */
  readonly more: boolean;
  readonly revision: number;
}

export type Compare =
  | { readonly kind: 'exists'; readonly key: string; readonly exists: boolean }
  /** 0: the key must not exist. */
  | { readonly kind: 'mod-revision'; readonly key: string; readonly modRevision: number }
  | { readonly kind: 'value'; readonly key: string; readonly value: Uint8Array };

export type Operation =
  | { readonly kind: 'get'; readonly key: string }
  | { readonly kind: 'put'; readonly key: string; readonly value: Uint8Array; readonly lease?: number }
  | { readonly kind: 'delete'; readonly key: string }
  | { readonly kind: 'delete-prefix'; readonly prefix: string };

export interface Txn {
  readonly compare: readonly Compare[];
  /** Done in order; no key may be changed twice (`invalid`). */
  readonly then: readonly Operation[];
  readonly otherwise: readonly Operation[];
}

/** Of one operation: what a get found at its place in the order, how many keys a delete removed. */
export type OperationResult =
  | { readonly kind: 'get'; readonly entry: KeyValue | null }
  | { readonly kind: 'put' }
  | { readonly kind: 'delete'; readonly count: number };

export interface TxnReply {
  /** `then` was done. */
  readonly succeeded: boolean;
  /** Of the store, after it. */
  readonly revision: number;
  readonly results: readonly OperationResult[];
}

export interface WatchRequest {
  readonly prefix: string;
  /** 1 or more. */
  readonly fromRevision: number;
  readonly signal: AbortSignal;
}

/** All that one transaction changed below the prefix. */
export interface Change {
  readonly revision: number;
  readonly events: readonly ChangeEvent[];
}

export type ChangeEvent =
  | { readonly kind: 'put'; readonly entry: KeyValue }
  | { readonly kind: 'delete'; readonly key: string };

export interface Lease {
  readonly id: number;
  readonly ttlSeconds: number;
}
