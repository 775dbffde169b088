import { open } from 'node:fs/promises';
import { join } from 'node:path';

/** More than a node of a few attachments has; of a larger store, its first pages and those written last. */
const aheadBytes = 1024 ** 2;
const stores = [join('coordination', 'coordination.mdb'), join('metadata', 'namespace.mdb')];

/**
 * Brings what a node keeps into memory. LMDB reads page by page, and each page would wait behind what the engine reads
 * at a start. What is not there, or cannot be read, is told by whoever opens it.
 */
export async function readStateAhead(stateDirectory: string): Promise<void> {
  await Promise.allSettled(stores.map((store) => readEnds(join(stateDirectory, store))));
}

async function readEnds(path: string): Promise<void> {
  const file = await open(path);
  try {
    const { size } = await file.stat();
    const buffer = Buffer.allocUnsafe(Math.min(size, aheadBytes / 2));
    await file.read(buffer, 0, buffer.length, 0);
    await file.read(buffer, 0, buffer.length, size - buffer.length);
  } finally {
    await file.close();
  }
}
