import { MillpoolError } from '@millpool/protocol';
import type { CoordSupports, Operation, Txn } from './store.ts';

/** Refuses, as `invalid` and before anything is done, what no driver could do. */
export function checkTxn(txn: Txn, supports: CoordSupports): void {
  for (const [name, list] of [
    ['compare', txn.compare],
    ['then', txn.then],
    ['otherwise', txn.otherwise],
  ] as const) {
    if (list.length > supports.txnLengthMax) throw invalid(`${name} has more than ${supports.txnLengthMax} members`);
  }
  for (const comparison of txn.compare) checkKey(comparison.key, supports);
  checkOperations(txn.then, supports);
  checkOperations(txn.otherwise, supports);
}

export function checkKey(key: string, supports: CoordSupports): void {
  if (key === '') throw invalid('a key is empty');
  checkPrefix(key, supports);
}

/** Empty is every key. */
export function checkPrefix(prefix: string, supports: CoordSupports): void {
  if (/\p{Surrogate}/u.test(prefix)) throw invalid(`the key ${JSON.stringify(prefix)} holds half of a surrogate pair`);
  if (Buffer.byteLength(prefix) > supports.keyBytesMax) {
    throw invalid(`the key ${JSON.stringify(prefix.slice(0, 60))}… is longer than ${supports.keyBytesMax} bytes`);
  }
}

export function checkWhole(what: string, count: number, min: number): void {
  if (!Number.isSafeInteger(count) || count < min) throw invalid(`${what} is ${count}, not a whole number from ${min}`);
}

function checkOperations(operations: readonly Operation[], supports: CoordSupports): void {
  const changed = new Set<string>();
  const prefixes: string[] = [];
  for (const operation of operations) {
    if (operation.kind === 'delete-prefix') {
      checkPrefix(operation.prefix, supports);
      prefixes.push(operation.prefix);
      continue;
    }
    checkKey(operation.key, supports);
    if (operation.kind === 'get') continue;
    if (changed.has(operation.key)) throw changedTwice(operation.key);
    changed.add(operation.key);
    if (operation.kind === 'put' && operation.value.length > supports.valueBytesMax) {
      throw invalid(`the value of ${operation.key} is larger than ${supports.valueBytesMax} bytes`);
    }
  }
  checkApart(prefixes, changed);
}

function checkApart(prefixes: readonly string[], changed: ReadonlySet<string>): void {
  for (const [index, prefix] of prefixes.entries()) {
    for (const key of changed) if (key.startsWith(prefix)) throw changedTwice(key);
    for (const other of prefixes.slice(index + 1)) {
      if (other.startsWith(prefix) || prefix.startsWith(other)) throw changedTwice(other);
    }
  }
}

function changedTwice(key: string): MillpoolError {
  return invalid(`one transaction changes ${JSON.stringify(key)} twice`);
}

function invalid(message: string): MillpoolError {
  return new MillpoolError({
    code: 'invalid',
    message,
    remedy: 'Split it up, or see the limits of the coordination store.',
  });
}
