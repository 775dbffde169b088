import { formatBytes, MillpoolError } from '@millpool/protocol';

/** What Node, its heap and the messages of connections take of a daemon, with room for what is thrown away late. */
const programBytes = 160 * 1024 ** 2;
/** A few of the largest records, and the smallest tables. */
const leastBytes = 32 * 1024 ** 2;

/** What the engine may take of the one budget of a daemon: buffers of records, and the key table. */
export function engineBytesOf(budgetBytes: number): number {
  const left = budgetBytes - programBytes;
  if (left >= leastBytes) return left;
  throw new MillpoolError({
    code: 'invalid',
    message: `A memory budget of ${formatBytes(budgetBytes)} is too small for a daemon.`,
    remedy: `Give at least ${formatBytes(programBytes + leastBytes)} (MILLPOOL_BUDGET).`,
  });
}
