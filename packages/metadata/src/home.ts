import { nameOf, parentOf } from '@millpool/protocol';
import type { Entry } from '@millpool/protocol';

import type { Attachments } from './attachments.ts';
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

/** With what follows from its path; null where no attachment covers it. */
export function resolvedIn(attachments: Attachments, entry: Entry, shards: number): ResolvedEntry | null {
  const { path } = entry;
  const attached = attachments.covering(path);
  if (attached === null) return null;
  const { attachment } = attached;
  if (path === attachment.path) return rootEntry(path, attachment.id);
  const { type, size, mtimeMs, tag } = entry;
  // The other fields of a record are of no use outside of the store.
  return resolved(attached.directory(parentOf(path), shards), nameOf(path), { type, size, mtimeMs, tag });
}
