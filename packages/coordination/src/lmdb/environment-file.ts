import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { MillpoolError } from '@millpool/protocol';

/** Of LMDB's first meta page (mdb.c, MDB_MAGIC), after a page header of 24 bytes; little endian where we run. */
const magic = 0xbeefc0de;
const magicOffset = 24;
const smallestBytes = 2 * 4096;

/** `corrupt` for a file that LMDB did not write: it would not say so itself, but take the process down with it. */
export function checkEnvironmentFile(path: string): void {
  let descriptor: number;
  try {
    descriptor = openSync(path, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  try {
    const { size } = fstatSync(descriptor);
    const head = Buffer.alloc(magicOffset + 4);
    const isEnvironment =
      size >= smallestBytes &&
      readSync(descriptor, head, 0, head.length, 0) === head.length &&
      head.readUInt32LE(magicOffset) === magic;
    if (size > 0 && !isEnvironment) throw notAnEnvironment(path);
  } finally {
    closeSync(descriptor);
  }
}

function notAnEnvironment(path: string): MillpoolError {
  return new MillpoolError({
    code: 'corrupt',
    message: `${path} is not a coordination store, or its first page is damaged`,
    remedy: 'Restore it, or remove it and attach the sources again; what is cached stays.',
    path,
  });
}
