import { joinPath, MillpoolError } from '@millpool/protocol';
import type { Entry, ErrorShape } from '@millpool/protocol';

import { sourceKeyOf } from './directory.ts';
import type { Directory } from './directory.ts';
import type { EntryRecord } from './store/records.ts';

/**
 * An entry, and where its bytes are: key and attachment. A directory above all attachments has attachment 0 and no key.
 */
export type ResolvedEntry = Entry & {
  readonly attachment: number;
  readonly sourceKey: Uint8Array;
};

export type LookupResult = ResolvedEntry | { readonly error: ErrorShape };

export function resolved(directory: Directory, name: string, record: EntryRecord): ResolvedEntry {
  const { type, size, mtimeMs, tag } = record;
  const path = joinPath(directory.path, name);
  return { path, type, size, mtimeMs, tag, attachment: directory.attachment, sourceKey: sourceKeyOf(directory, name) };
}

/** An attachment itself, or a directory that only leads to attachments. */
export function rootEntry(path: string, attachment: number): ResolvedEntry {
  return { path, type: 'directory', size: 0, mtimeMs: null, tag: '', attachment, sourceKey: new Uint8Array() };
}

export function entryOf({ path, type, size, mtimeMs, tag }: ResolvedEntry): Entry {
  return { path, type, size, mtimeMs, tag };
}

export function noSuchPath(path: string): MillpoolError {
  return new MillpoolError({
    code: 'not-found',
    message: `there is no ${path}`,
    remedy: 'List the directory above it; `millpool attachments` shows what is attached.',
    path,
  });
}

export function notADirectory(path: string): MillpoolError {
  return new MillpoolError({
    code: 'invalid',
    message: `${path} is a file, not a directory`,
    remedy: 'Name a directory, or read the file.',
    path,
  });
}

export function isDirectory(path: string): MillpoolError {
  return new MillpoolError({
    code: 'invalid',
    message: `${path} is a directory.`,
    remedy: 'Name a file, or list it with `millpool ls`.',
    path,
  });
}
