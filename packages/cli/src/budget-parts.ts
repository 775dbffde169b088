import { formatBytes, MillpoolError } from '@millpool/protocol';

/**
 * What Node, its heap and the messages of connections take of a daemon. Of them 32 MiB are for messages
 * (native/node/src/engine.rs), and what is below for what lives long in the heap; the rest is Node itself, with code
 * and what is thrown away soon.
 */
const besideHeapBytes = 80 * 1024 ** 2;
/** Calls of clients may take the most of it, and are refused or given up when it runs out. */
const heapLeastBytes = 80 * 1024 ** 2;
/** A long listing has some 50 MiB of pages that wait for their turn: near the limit V8 does nothing but collect. */
const heapShare = 1 / 16;
/** Until something is given up. All of the youngest generation may have to live on: three times 16 MiB. */
export const heapReserveBytes = 64 * 1024 ** 2;
export const callBytes = 40 * 1024 ** 2;
/** A few of the largest records, and the smallest tables. */
const leastBytes = 32 * 1024 ** 2;

/** What lives long in the heap may take so much of a budget. */
export function heapBytesOf(budgetBytes: number): number {
  return Math.max(heapLeastBytes, Math.floor(budgetBytes * heapShare));
}

/** Of what is beyond the least budget, for names that are looked up much: 64 bytes each. */
const namesShare = 1 / 16;

export function namesBytesOf(budgetBytes: number): number {
  const left = budgetBytes - besideHeapBytes - heapBytesOf(budgetBytes) - leastBytes;
  return Math.floor(Math.max(0, left) * namesShare);
}

/** What the engine may take of the one budget of a daemon: buffers of records, and the key table. */
export function engineBytesOf(budgetBytes: number): number {
  const programBytes = besideHeapBytes + heapBytesOf(budgetBytes);
  const left = budgetBytes - programBytes - namesBytesOf(budgetBytes);
  if (left >= leastBytes) return left;
  throw new MillpoolError({
    code: 'invalid',
    message: `A memory budget of ${formatBytes(budgetBytes)} is too small for a daemon.`,
    remedy: `Give at least ${formatBytes(programBytes + leastBytes)} (MILLPOOL_BUDGET).`,
  });
}
