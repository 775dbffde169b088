import { PackedPage } from '@millpool/native';
import type { TakenEntry } from '@millpool/native';
import { comparePaths, EntryPacker, joinPath, pathBelow } from '@millpool/protocol';
import type { EntryFields, ListReply, ListRequest } from '@millpool/protocol';

import type { Attached } from './attached.ts';
import { decodeCursor, encodeCursor } from './cursor.ts';
import type { Cursor } from './cursor.ts';
import { directoryOf } from './directory.ts';
import type { Directory } from './directory.ts';
import { classesIn } from './entries.ts';
import { floorMsOf } from './freshness.ts';
import type { KeptNames } from './kept-names.ts';
import { PageEnd } from './page-end.ts';
import { rootEntry } from './resolved-entry.ts';
import { entryClasses } from './store/keys.ts';
import type { FileWalk } from './walk.ts';

/** What is gone through in one turn of the event loop: half a millisecond. */
const entriesATurn = 2_048;

/** An entry by its path below what is listed. */
export interface ListedEntry extends EntryFields {
  readonly name: string;
}

type Last = Pick<ListedEntry, 'name' | 'type'>;

export interface ListContext {
  readonly attached: Attached;
  readonly signal: AbortSignal;
}

/** One page of the entries directly in a directory, in the byte order of their names, a directory before a file `a`. */
export async function listDirectory(
  parts: KeptNames,
  request: ListRequest,
  { attached, signal }: ListContext,
): Promise<ListReply> {
  const directory = attached.directory(request.path, parts.shards);
  const cursor = cursorOf(request, directory);
  const { freshness } = attached.attachment;
  // A listing that has begun goes on in the same LIST; `strict` asks again where it begins.
  const isUnderWay = cursor !== null && freshness.kind === 'strict';
  const floorMs = isUnderWay ? Number.NEGATIVE_INFINITY : floorMsOf(freshness, parts.nowMs());
  const record = await parts.listings.ensure(attached, directory, { floorMs, signal });

  const pageEnd = new PageEnd(request.limit, parts.nowMs);
  const entries = parts.entries.sorted(directory, { kinds: classesIn(record), after: takenAt(cursor) });
  const page = new PackedPage(request.path);
  let more = true;
  try {
    while (more && !pageEnd.isFull(page.count)) {
      await parts.turns.next(signal);
      more = entries.take(Math.min(entriesATurn, pageEnd.room(page.count)), page);
    }
  } finally {
    entries.letGo();
  }
  const { generation } = record;
  return {
    cursor: more ? cursorAt(request, { directory, generation, last: lastOf(entries.last) }) : null,
    entries: page.packed(),
    ageSeconds: secondsSince(record.listedAtMs, parts),
    changed: cursor !== null && cursor.generation !== generation,
  };
}

/** As the store has the entry that a page goes on behind: the file comes after the directory of the same name. */
function takenAt(cursor: Cursor | null): TakenEntry | null {
  if (cursor === null) return null;
  const kind = cursor.type === 'directory' ? entryClasses.directory : entryClasses.plainFile;
  return { class: kind, name: Buffer.from(cursor.last) };
}

function lastOf(last: TakenEntry | null): Last | null {
  if (last === null) return null;
  return { type: last.class === entryClasses.directory ? 'directory' : 'file', name: last.name.toString() };
}

/**
 * One page of the files of a whole subtree, in the byte order of their paths; `walk` begins after a path, or with null.
 */
export async function listBelow(
  parts: KeptNames,
  request: ListRequest,
  {
    root,
    walk: walkFrom,
  }: { readonly root: Directory; readonly walk: (after: string | null) => FileWalk<ListedEntry> },
): Promise<ListReply> {
  const cursor = cursorOf(request, root);
  const walk = walkFrom(cursor === null ? null : joinPath(root.path, cursor.last));
  const pageEnd = new PageEnd(request.limit, parts.nowMs);
  const entries = new EntryPacker(request.path);
  let last: Last | null = null;
  let more = true;
  try {
    while (more && !pageEnd.isFull(entries.count)) {
      const files = await walk.take(pageEnd.room(entries.count));
      for (const file of files) entries.add(file.name, file);
      last = files.at(-1) ?? last;
      more = files.length > 0;
    }
    if (pageEnd.room(entries.count) === 0) more = (await walk.take(1)).length > 0;
  } finally {
    walk.close();
  }
  const { generation } = walk;
  return {
    entries: entries.packed(),
    cursor: more ? cursorAt(request, { directory: root, generation, last }) : null,
    ageSeconds: secondsSince(walk.oldestMs, parts),
    changed: cursor !== null && cursor.generation !== generation,
  };
}

/** A directory that only leads to attachments: the first names on the way to them. */
export function listAbove(parts: KeptNames, request: ListRequest): ListReply {
  const directory = directoryAbove(request.path, parts.shards);
  const cursor = cursorOf(request, directory);
  const below = parts.attachments.below(request.path).map(({ attachment }) => pathBelow(attachment.path, request.path));
  const names = [...new Set(below.map((path) => path.split('/', 1)[0] as string))].toSorted(comparePaths);
  const left = names.filter((name) => cursor === null || comparePaths(name, cursor.last) > 0);
  const page = left.slice(0, request.limit);
  const entries = new EntryPacker(request.path);
  for (const name of page) entries.add(name, rootEntry(joinPath(request.path, name), 0));
  const name = page.at(-1);
  const last = name === undefined ? null : ({ name, type: 'directory' } as const);
  return {
    entries: entries.packed(),
    cursor: left.length > page.length ? cursorAt(request, { directory, generation: 0, last }) : null,
    ageSeconds: 0,
    changed: false,
  };
}

/** Stands for a directory above all attachments, which is stored nowhere. */
export function directoryAbove(path: string, shards: number): Directory {
  return directoryOf({ attachment: 0, path, prefix: Buffer.from(path) }, shards);
}

function cursorOf({ cursor, path, recursive }: ListRequest, { id }: Directory): Cursor | null {
  return cursor === null ? null : decodeCursor(cursor, { directory: id, recursive, path });
}

function cursorAt(
  { recursive }: ListRequest,
  {
    directory,
    generation,
    last,
  }: { readonly directory: Directory; readonly generation: number; readonly last: Last | null },
): string | null {
  if (last === null) return null;
  return encodeCursor({ directory: directory.id, recursive, generation, type: last.type, last: last.name });
}

function secondsSince(timeMs: number, { nowMs }: KeptNames): number {
  return Number.isFinite(timeMs) ? Math.max(0, nowMs() - timeMs) / 1_000 : 0;
}
