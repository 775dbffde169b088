import { MillpoolError } from '@millpool/protocol';
import type { ErrorCode } from '@millpool/protocol';

import { shown } from '../key.ts';

const codes = new Map<string, ErrorCode>([
  ['EACCES', 'refused'],
  ['EPERM', 'refused'],
  ['EIO', 'source-unavailable'],
  ['ESTALE', 'source-unavailable'],
  ['ENODEV', 'source-unavailable'],
  ['ENXIO', 'source-unavailable'],
  ['ENOTCONN', 'source-unavailable'],
  ['EHOSTDOWN', 'source-unavailable'],
  ['ETIMEDOUT', 'source-unavailable'],
]);

const remedies: Partial<Record<ErrorCode, string>> = {
  refused: 'Let the user that Millpool runs as read it, and every folder above it.',
  'source-unavailable': 'Check the device or the mount below the folder.',
};

/** The operating system's error number by name, or empty. */
export function errnoOf(thrown: unknown): string {
  return thrown instanceof Error && 'code' in thrown && typeof thrown.code === 'string' ? thrown.code : '';
}

/** Of something that was looked up, or is a name on the way to it: it is not there. */
export function isAbsent(thrown: unknown): boolean {
  return ['ENOENT', 'ENOTDIR', 'ELOOP', 'ENAMETOOLONG'].includes(errnoOf(thrown));
}

/** What the file system said of `path`, as our error. */
export function fileError(path: Uint8Array, thrown: unknown): MillpoolError {
  const errno = errnoOf(thrown);
  const code = codes.get(errno) ?? 'io';
  const message = `${shown(path)} cannot be read (${errno === '' ? String(thrown) : errno})`;
  return new MillpoolError({ code, message, remedy: remedies[code] ?? '' }, { cause: thrown });
}
