import { nameOf, parentOf } from '@millpool/protocol';
import type { Attachment, ErrorShape, WhyOwner } from '@millpool/protocol';

import { floorMsOf } from './freshness.ts';
import type { KeptNames } from './kept-names.ts';
import { shardOf } from './partition-map.ts';
import type { Partitions } from './partitions.ts';
import { resolved } from './resolved-entry.ts';
import type { ResolvedEntry } from './resolved-entry.ts';
import { entryClasses } from './store/keys.ts';

interface Parts extends Omit<KeptNames, 'turns'> {
  readonly partitions: Partitions;
}

/** Who owns the entry of a path, and what is stored of it, whatever its age. Nothing is asked of the source. */
export interface Owner extends Omit<WhyOwner, 'node'> {
  readonly attachment: Attachment;
  /** The id of the node that has the shard; null: this one, or nobody. */
  readonly node: string | null;
  /** Why the source cannot be reached. */
  readonly sourceError: ErrorShape | null;
  readonly stored: ResolvedEntry | null;
}

/** Null for a path above all attachments, or beside them. */
export function ownerOf(parts: Parts, path: string): Owner | null {
  const { attachments, listings, entries, partitions, shards, nowMs } = parts;
  const attached = attachments.covering(path);
  if (attached === null) return null;
  const { attachment } = attached;
  const isRoot = path === attachment.path;
  const directory = attached.directory(isRoot ? path : parentOf(path), shards);
  const record = listings.record(directory);
  const name = nameOf(path);
  const stored = isRoot ? null : (entries.get(directory, 'file', name) ?? entries.get(directory, 'directory', name));
  const map = partitions.mapOf(directory);
  // The class of an entry has no part in where its name lies.
  const { partition } = partitions.placeOf(directory, entryClasses.plainFile, Buffer.from(isRoot ? '' : name));
  const isWhole = record?.state === 'complete';
  return {
    attachment,
    node: null,
    sourceError: attached.error,
    directory: directory.path,
    shard: shardOf(map, partition),
    partition,
    partitions: map.shards.filter((shard) => shard !== undefined).length,
    listing: record === null ? 'never' : isWhole ? 'whole' : 'under-way',
    listingAgeSeconds: record === null || !isWhole ? null : Math.max(0, nowMs() - record.listedAtMs) / 1_000,
    listingFresh: listings.fresh(directory, floorMsOf(attachment.freshness, nowMs())) !== null,
    stored: stored === null || !isWhole ? null : resolved(directory, name, stored),
  };
}
