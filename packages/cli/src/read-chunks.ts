import type { Mill } from '@millpool/client';
import { MillpoolError } from '@millpool/protocol';

const chunkBytes = 16 * 1024 * 1024;

/** A file's bytes in order, in chunks of at most 16 MiB, the next one read while the caller works on the last. */
export async function* readChunks(mill: Mill, path: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const { size, type } = await mill.stat(path, { signal });
  if (type === 'directory') {
    throw new MillpoolError({ code: 'invalid', message: `${path} is a directory.`, remedy: 'Name a file.', path });
  }
  const read = (offset: number): Promise<Uint8Array> =>
    mill.read(path, { offset, length: Math.min(chunkBytes, size - offset), signal });
  let ahead = size > 0 ? read(0) : null;
  for (let offset = 0; ahead !== null; offset += chunkBytes) {
    const chunk = await ahead;
    ahead = offset + chunkBytes < size ? read(offset + chunkBytes) : null;
    // The consumer may stop early; a failure of a chunk nobody asks for is nobody's.
    ahead?.catch(() => undefined);
    yield chunk;
  }
}
