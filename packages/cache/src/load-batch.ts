import type { ResolvedEntry } from '@millpool/metadata';

/**
 * Few enough that what is done is settled soon, and each failure is told; so many that the flush behind each cuts few
 * extents short.
 */
export const filesAtOnce = 8_192;
const bytesAtOnce = 256 * 1024 ** 2;
/**
 * So many under way: a source has something to do while the last files of one batch arrive, and while another is
 * being written.
 */
export const batchesAtOnce = 4;

/** Pages of a walk as batches of files, of so many bytes that none takes long; a larger file is one of its own. */
export async function* batchesOf(
  pages: AsyncIterable<readonly ResolvedEntry[]>,
): AsyncGenerator<readonly ResolvedEntry[]> {
  let batch: ResolvedEntry[] = [];
  let bytes = 0;
  for await (const page of pages) {
    for (const entry of page) {
      if (entry.type !== 'file') continue;
      if (batch.length > 0 && (batch.length === filesAtOnce || bytes + entry.size > bytesAtOnce)) {
        yield batch;
        batch = [];
        bytes = 0;
      }
      batch.push(entry);
      bytes += entry.size;
    }
  }
  if (batch.length > 0) yield batch;
}
