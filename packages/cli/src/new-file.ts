import { writeFile } from 'node:fs/promises';

import { MillpoolError } from '@millpool/protocol';

/** Of this user alone. Never over one that is there: `exists`. */
export async function writeNewFile(path: string, text: string, remedy: string): Promise<void> {
  try {
    await writeFile(path, text, { mode: 0o600, flag: 'wx' });
  } catch (error) {
    const cause = error as NodeJS.ErrnoException;
    const isThere = cause.code === 'EEXIST';
    const message = isThere ? `${path} is there already` : `${path} cannot be written: ${cause.message}`;
    throw new MillpoolError({ code: isThere ? 'exists' : 'invalid', message, remedy, path }, { cause });
  }
}
