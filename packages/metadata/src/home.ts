import { nameOf, parentOf } from '@millpool/protocol';
import type { Entry } from '@millpool/protocol';

import type { Attachments } from './attachments.ts';
import type { Directory } from './directory.ts';
import { resolved, rootEntry } from './resolved-entry.ts';
import type { ResolvedEntry } from './resolved-entry.ts';

/** Where something is kept: the owner of the shard answers for it. */
export interface Home {
  readonly attachment: number;
  readonly shard: number;
  /** Of the directory that it is kept with: its id in hex. */
  readonly directory: string;
}

/**
 * An entry is kept with the directory that it is in, an attachment with itself. Null also for an entry that the source
 * is asked for each time: it is kept nowhere.
 */
export function homeOf(
  attachments: Attachments,
  { path, of }: { readonly path: string; readonly of: 'entry' | 'listing' },
  shards: number,
): Home | null {
  const attached = attachments.covering(path);
  if (attached === null) return null;
  if (of === 'entry' && attached.attachment.freshness.kind === 'strict') return null;
  const isItself = of === 'listing' || path === attached.attachment.path;
  const directory = attached.directory(isItself ? path : parentOf(path), shards);
  return { attachment: attached.attachment.id, shard: directory.home, directory: directory.text };
}

/** With what follows from their paths; null where no attachment covers them. */
export function resolvedIn(
  attachments: Attachments,
  entries: readonly Entry[],
  shards: number,
): (ResolvedEntry | null)[] {
  const directories = new Map<string, Directory>();
  return entries.map((entry) => {
    const { path, type, size, mtimeMs, tag } = entry;
    const attached = attachments.covering(path);
    if (attached === null) return null;
    const { attachment } = attached;
    if (path === attachment.path) return rootEntry(path, attachment.id);
    const above = parentOf(path);
    const directory = directories.get(above) ?? attached.directory(above, shards);
    directories.set(above, directory);
    // The other fields of a record are of no use outside of the store.
    return resolved(directory, nameOf(path), { type, size, mtimeMs, tag });
  });
}
