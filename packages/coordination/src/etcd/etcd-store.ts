import { randomInt } from 'node:crypto';

import { abortError, silentLog, systemClock } from '@millpool/host';
import type { Clock, Log } from '@millpool/host';
import { errorTable, MillpoolError } from '@millpool/protocol';

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
import { parseEtcdAddress, withoutPassword } from './etcd-address.ts';
import { EtcdConnection } from './etcd-connection.ts';
import type { EtcdTls } from './etcd-connection.ts';
import { KeySpace } from './key-space.ts';
import { methods } from './messages.ts';
import type { LeaseResponse, WatchResponse } from './messages.ts';

export interface EtcdStoreConfig {
  /** Without them what the system believes, and no certificate of ours. */
  readonly tls?: EtcdTls;
  /** How long one call may take, with all that is tried again. */
  readonly callTimeoutMs?: number;
  readonly clock?: Clock;
  readonly log?: Log;
}

/** Of one endless watch, between attempts. */
const watchPauseMs = 200;
const leaseIdEnd = 2 ** 48 - 1;

/**
 * The store that the machines of a cluster share: an etcd, 3.4 or later. Its history is kept until it is compacted, by
 * whoever runs it (`--auto-compaction-retention`). Rejects with `unreachable`, naming all of them, when no member
 * answers, and with `refused` when it wants another login.
 *
 * @param address `etcd://[USER:PASSWORD@]HOST:PORT[,HOST:PORT…][/PREFIX]`, or `etcds://…` for TLS.
 */
export async function openEtcdStore(address: string, config: EtcdStoreConfig = {}): Promise<CoordStore> {
  const parsed = parseEtcdAddress(address);
  const connection = new EtcdConnection(parsed, config);
  const store = new EtcdStore(connection, new KeySpace(parsed.prefix), config);
  try {
    await store.range({ prefix: '', limit: 1, after: null });
  } catch (thrown) {
    connection.close();
    throw thrown;
  }
  (config.log ?? silentLog).info('coordination store opened', { address: withoutPassword(address) });
  return store;
}

class EtcdStore implements CoordStore {
  readonly supports: CoordSupports = Object.freeze({
    driver: 'etcd',
    shared: true,
    historyRevisions: 0,
    keyBytesMax: 1_024,
    valueBytesMax: 1_048_576,
    txnLengthMax: 128,
  });
  readonly #connection: EtcdConnection;
  readonly #keys: KeySpace;
  readonly #clock: Clock;
  readonly #closing = new AbortController();
  /** Calls that have not resolved. */
  readonly #underWay = new Set<Promise<unknown>>();

  constructor(connection: EtcdConnection, keys: KeySpace, { clock = systemClock }: EtcdStoreConfig) {
    this.#connection = connection;
    this.#keys = keys;
    this.#clock = clock;
  }

  async get(key: string): Promise<KeyValue | null> {
    checkKey(key, this.supports);
    const { kvs } = await this.#tracked(() =>
      this.#connection.repeatable('reading a key', methods.range, { key: this.#keys.bytesOf(key) }),
    );
    return kvs[0] === undefined ? null : this.#keys.entryOf(kvs[0]);
  }

  async range({ prefix, limit, after }: RangeRequest): Promise<RangeReply> {
    checkPrefix(prefix, this.supports);
    checkWhole('limit', limit, 1);
    const request = { ...this.#keys.rangeOf(prefix, after), limit };
    const reply = await this.#tracked(() => this.#connection.repeatable('reading keys', methods.range, request));
    return {
      entries: reply.kvs.map((entry) => this.#keys.entryOf(entry)),
      more: reply.more,
      revision: reply.header?.revision ?? 0,
    };
  }

  async txn(txn: Txn): Promise<TxnReply> {
    checkTxn(txn, this.supports);
    const request = this.#keys.txnOf(txn);
    const reply = await this.#tracked(() => this.#connection.once('a transaction', methods.txn, request));
    return {
      succeeded: reply.succeeded,
      revision: reply.header?.revision ?? 0,
      results: this.#keys.resultsOf(reply.succeeded ? txn.then : txn.otherwise, reply),
    };
  }

  async *watch({ prefix, fromRevision, signal }: WatchRequest): AsyncIterable<Change> {
    checkPrefix(prefix, this.supports);
    checkWhole('fromRevision', fromRevision, 1);
    const either = AbortSignal.any([signal, this.#closing.signal]);
    // A watch that a member refuses as soon as it is asked gets one more, with a new token.
    let isRenewed = false;
    for (let next = fromRevision; ;) {
      try {
        for await (const change of this.#watchOnce(prefix, next, either)) {
          isRenewed = false;
          next = change.revision + 1;
          yield change;
        }
      } catch (thrown) {
        if (either.aborted) throw this.#closing.signal.aborted ? closedError() : abortError(signal);
        const isRefused = thrown instanceof MillpoolError && thrown.code === 'refused';
        if (isRefused ? isRenewed : !isPassing(thrown)) throw thrown;
        if (isRefused) this.#connection.forgetToken();
        isRenewed = isRefused;
      }
      await this.#clock.sleep(watchPauseMs, either).catch(() => undefined);
      if (either.aborted) throw this.#closing.signal.aborted ? closedError() : abortError(signal);
    }
  }

  async grantLease(ttlSeconds: number): Promise<Lease> {
    checkWhole('ttlSeconds', ttlSeconds, 1);
    // Of our own choice, since etcd's are larger than a number holds.
    const request = { ID: randomInt(1, leaseIdEnd), TTL: ttlSeconds };
    const reply = await this.#tracked(() => this.#connection.once('granting a lease', methods.leaseGrant, request));
    return { id: reply.ID, ttlSeconds: reply.TTL };
  }

  async keepLease(lease: number): Promise<Lease> {
    const reply = await this.#tracked(() =>
      this.#connection.untilAnswered((deadline) => this.#keepOnce(lease, deadline)),
    );
    if (reply.TTL <= 0) throw goneError(lease);
    return { id: reply.ID, ttlSeconds: reply.TTL };
  }

  async revokeLease(lease: number): Promise<void> {
    await this.#tracked(() => this.#connection.once('revoking a lease', methods.leaseRevoke, { ID: lease }));
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.allSettled(this.#underWay);
    this.#connection.close();
  }

  async *#watchOnce(prefix: string, fromRevision: number, signal: AbortSignal): AsyncIterable<Change> {
    const stream = await this.#connection.stream('watching keys', methods.watch);
    const cancel = (): void => stream.cancel();
    signal.addEventListener('abort', cancel);
    if (signal.aborted) cancel();
    try {
      stream.write({ create_request: { ...this.#keys.rangeOf(prefix, null), start_revision: fromRevision } });
      for await (const response of stream) {
        this.#connection.check(response);
        if (response.canceled) throw canceledError(response, fromRevision);
        yield* this.#keys.changesOf(response.events);
      }
    } finally {
      signal.removeEventListener('abort', cancel);
    }
  }

  /** A stream of one question, which etcd has no other way to ask. */
  async #keepOnce(lease: number, deadline: number): Promise<LeaseResponse> {
    const what = 'keeping a lease';
    const stream = await this.#connection.stream(what, methods.leaseKeepAlive);
    let isLate = false;
    const timer = this.#clock.after(deadline - this.#clock.monotonicMs(), () => {
      isLate = true;
      stream.cancel();
    });
    try {
      stream.write({ ID: lease });
      for await (const reply of stream) {
        this.#connection.check(reply);
        return reply;
      }
      throw silentError(what);
    } catch (thrown) {
      throw isLate ? silentError(what) : thrown;
    } finally {
      timer.cancel();
    }
  }

  async #tracked<Reply>(call: () => Promise<Reply>): Promise<Reply> {
    if (this.#closing.signal.aborted) throw closedError();
    const running = call();
    this.#underWay.add(running);
    try {
      return await running;
    } finally {
      this.#underWay.delete(running);
    }
  }
}

function isPassing(thrown: unknown): boolean {
  return thrown instanceof MillpoolError && errorTable[thrown.code].retryable;
}

function canceledError(
  { compact_revision: oldest, cancel_reason: reason }: WatchResponse,
  from: number,
): MillpoolError {
  if (oldest > 0) return new CompactedError(from, oldest);
  return new MillpoolError({
    code: /permission|auth/.test(reason) ? 'refused' : 'unreachable',
    message: `etcd ended a watch: ${reason || 'it gave no reason'}`,
    remedy: 'Give the user of Millpool rights to its prefix in etcd.',
  });
}

function closedError(): MillpoolError {
  return new MillpoolError({ code: 'closed', message: 'the coordination store is closed', remedy: 'Open it again.' });
}

function goneError(lease: number): MillpoolError {
  return new MillpoolError({
    code: 'not-found',
    message: `lease ${lease} has ended`,
    remedy: 'Grant another one; the keys of this one are gone.',
  });
}

function silentError(what: string): MillpoolError {
  return new MillpoolError({
    code: 'timeout',
    message: `etcd did not answer in time: ${what}`,
    remedy: 'Look whether etcd runs and has a leader: etcdctl endpoint status --cluster.',
  });
}
