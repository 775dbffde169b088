import { MillpoolError } from '@millpool/protocol';

import type { Change, ChangeEvent, Compare, KeyValue, Operation, OperationResult, Txn } from '../store.ts';
import type {
  CompareMessage,
  EtcdKeyValue,
  OperationMessage,
  RangeRequestMessage,
  TxnRequestMessage,
  TxnResponse,
  WatchResponse,
} from './messages.ts';

/** Our keys as etcd has them, below a prefix that others do not use; and back. */
export class KeySpace {
  readonly #prefix: string;

  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  bytesOf(key: string): Buffer {
    return Buffer.from(this.#prefix + key);
  }

  /** All keys of a prefix, or those of them after one key. */
  rangeOf(prefix: string, after: string | null): RangeRequestMessage {
    const begin = this.bytesOf(prefix);
    const end = endOf(begin);
    if (after === null) return { key: begin, range_end: end };
    // The key right behind it.
    const next = Buffer.concat([this.bytesOf(after), Buffer.of(0)]);
    const isBehind = Buffer.compare(next, begin) > 0;
    const key = isBehind ? next : begin;
    return { key, range_end: Buffer.compare(key, end) < 0 ? end : next };
  }

  entryOf(entry: EtcdKeyValue): KeyValue {
    return {
      key: this.#keyOf(entry.key),
      // Of its own memory: etcd's answer is one piece.
      value: Uint8Array.from(entry.value),
      createRevision: entry.create_revision,
      modRevision: entry.mod_revision,
      version: entry.version,
      lease: entry.lease === 0 ? null : entry.lease,
    };
  }

  txnOf({ compare, then, otherwise }: Txn): TxnRequestMessage {
    return {
      compare: compare.map((comparison) => this.#compareOf(comparison)),
      success: then.map((operation) => this.#operationOf(operation)),
      failure: otherwise.map((operation) => this.#operationOf(operation)),
    };
  }

  resultsOf(operations: readonly Operation[], { responses }: TxnResponse): OperationResult[] {
    return operations.map(({ kind }, place) => {
      const response = responses[place];
      if (response === undefined) throw brokenError(`${responses.length} answers to ${operations.length} operations`);
      switch (kind) {
        case 'put':
          return { kind };
        case 'get': {
          const [found] = response.response_range?.kvs ?? [];
          return { kind, entry: found === undefined ? null : this.entryOf(found) };
        }
        default:
          return { kind: 'delete', count: response.response_delete_range?.deleted ?? 0 };
      }
    });
  }

  /** Events come in the order of their revisions, all of one revision in one answer. */
  changesOf(events: WatchResponse['events']): Change[] {
    const changes: { readonly revision: number; readonly events: ChangeEvent[] }[] = [];
    for (const { type, kv } of events) {
      if (kv === null) throw brokenError('an event without a key');
      const last = changes.at(-1);
      const event: ChangeEvent =
        type === 'PUT' ? { kind: 'put', entry: this.entryOf(kv) } : { kind: 'delete', key: this.#keyOf(kv.key) };
      if (last?.revision === kv.mod_revision) last.events.push(event);
      else changes.push({ revision: kv.mod_revision, events: [event] });
    }
    return changes;
  }

  #keyOf(bytes: Buffer): string {
    return bytes.toString().slice(this.#prefix.length);
  }

  #compareOf(comparison: Compare): CompareMessage {
    const key = this.bytesOf(comparison.key);
    switch (comparison.kind) {
      case 'exists':
        return { key, target: 'VERSION', result: comparison.exists ? 'GREATER' : 'EQUAL', version: 0 };
      case 'mod-revision':
        return { key, target: 'MOD', result: 'EQUAL', mod_revision: comparison.modRevision };
      case 'value':
        return { key, target: 'VALUE', result: 'EQUAL', value: Buffer.from(comparison.value) };
    }
  }

  #operationOf(operation: Operation): OperationMessage {
    switch (operation.kind) {
      case 'get':
        return { request_range: { key: this.bytesOf(operation.key) } };
      case 'put': {
        const { key, value, lease = 0 } = operation;
        return { request_put: { key: this.bytesOf(key), value: Buffer.from(value), lease } };
      }
      case 'delete':
        return { request_delete_range: { key: this.bytesOf(operation.key) } };
      case 'delete-prefix':
        return { request_delete_range: this.rangeOf(operation.prefix, null) };
    }
  }
}

/** The first key that does not begin so. A prefix ends in a slash or in UTF-8, where no byte is 255. */
function endOf(prefix: Buffer): Buffer {
  const end = Buffer.from(prefix);
  end[end.length - 1] = (end.at(-1) ?? 0) + 1;
  return end;
}

function brokenError(what: string): MillpoolError {
  return new MillpoolError({
    code: 'internal',
    message: `etcd gave ${what}`,
    remedy: 'This is a fault of Millpool, or etcd is not of version 3.4 or later.',
  });
}
