import { constants } from 'node:fs';
import { access, mkdir, stat, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';

import { formatBytes, MillpoolError } from '@millpool/protocol';
import type { ErrorCode } from '@millpool/protocol';

const refusals: Readonly<Record<string, { readonly code: ErrorCode; readonly why: string }>> = {
  EEXIST: { code: 'invalid', why: 'it is no directory' },
  ENOTDIR: { code: 'invalid', why: 'a name on the way to it is no directory' },
  EACCES: { code: 'refused', why: 'permission denied' },
  EPERM: { code: 'refused', why: 'permission denied' },
  EROFS: { code: 'refused', why: 'its file system is read-only' },
  ENOSPC: { code: 'full', why: 'its file system has no room' },
};

export interface DirectoryUse {
  /** As an error names it: "the data directory". */
  readonly what: string;
  /** What names another one. */
  readonly setting: string;
  /** Permission bits of one that is made. */
  readonly mode: number;
}

/** Makes a directory and those above it where they are not there, and sees that it can be written to. */
export async function ownDirectory(path: string, { what, setting, mode }: DirectoryUse): Promise<void> {
  try {
    await makeDirectory(path, mode);
    await access(path, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (thrown) {
    const { code: errno = '', message } = thrown as NodeJS.ErrnoException;
    const { code, why } = refusals[errno] ?? { code: 'io', why: message };
    const remedy = `Make it for the user that runs Millpool, or name another with ${setting}.`;
    throw new MillpoolError(
      { code, message: `${what} ${path} cannot be used: ${why}.`, remedy, path },
      { cause: thrown },
    );
  }
}

/**
 * With those above it. By `recursive` Node asks for ever where a file system refuses a name as if its parent were not
 * there, as /proc does.
 */
async function makeDirectory(path: string, mode: number): Promise<void> {
  try {
    await mkdir(path, { mode });
  } catch (thrown) {
    const { code } = thrown as NodeJS.ErrnoException;
    if (code === 'EEXIST' && (await stat(path)).isDirectory()) return;
    const above = dirname(path);
    if (code !== 'ENOENT' || above === path || (await isThere(above))) throw thrown;
    await makeDirectory(above, mode);
    await mkdir(path, { mode });
  }
}

function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** LMDB maps its lock file: where there is no room for that, the kernel ends the process. */
const stateBytesMin = 1024 ** 2;

/** Throws `full` where what must outlive a restart could not be written. */
export async function checkStateRoom(path: string): Promise<void> {
  const { bavail, bsize } = await statfs(path);
  const roomBytes = bavail * bsize;
  if (roomBytes >= stateBytesMin) return;
  const [room, needed] = [formatBytes(roomBytes), formatBytes(stateBytesMin)];
  throw new MillpoolError({
    code: 'full',
    message: `The state directory ${path} has ${room} of room, and ${needed} are needed.`,
    remedy: 'Make room on its device, or name another with MILLPOOL_STATE_DIRECTORY.',
    path,
  });
}
