import { comparePaths, joinPath, pathBelow } from '@millpool/protocol';
import type { ListReply, ListRequest } from '@millpool/protocol';

import type { Attached } from './attached.ts';
import { decodeCursor, encodeCursor } from './cursor.ts';
import type { Cursor } from './cursor.ts';
import { directoryOf } from './directory.ts';
import type { Directory } from './directory.ts';
import { classesIn } from './entries.ts';
import type { EntryScan } from './entry-scan.ts';
import { floorMsOf } from './freshness.ts';
import type { KeptNames } from './kept-names.ts';
import { Page } from './page.ts';
import type { ListedEntry } from './page.ts';
import { rootEntry } from './resolved-entry.ts';
import { entryClasses } from './store/keys.ts';
import { nameOfOrder, orderOfName } from './stored-entry.ts';
import type { FileWalk } from './walk.ts';

/** What is gone through in one turn of the event loop: a millisecond or two. */
const entriesATurn = 512;

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

  const page = new Page(request, parts.nowMs);
  const from = cursor === null ? '' : orderOfName(cursor.last);
  const scan = parts.entries.scan(directory, { kinds: classesIn(record), from, to: null });
  let more = true;
  try {
    while (more && !page.isFull) {
      await parts.turns.next(signal);
      fill(page, scan, cursor);
      more = scan.head !== null;
    }
  } finally {
    scan.close();
  }
  const { generation } = record;
  return {
    entries: page.packed(),
    cursor: more ? cursorAt(request, { directory, generation, last: page.last }) : null,
    ageSeconds: secondsSince(record.listedAtMs, parts),
    changed: cursor !== null && cursor.generation !== generation,
  };
}

/** What can be gone through in one turn; without what the page before gave. */
function fill(page: Page, scan: EntryScan, cursor: Cursor | null): void {
  const last = cursor === null ? null : orderOfName(cursor.last);
  for (let left = entriesATurn; left > 0 && page.room > 0 && scan.head !== null; left -= 1) {
    const { order, kind, record } = scan.head;
    scan.pass();
    const isDirectory = kind === entryClasses.directory;
    const isPassed = order === last && (isDirectory || cursor?.type === 'file');
    if (!isPassed) page.add(nameOfOrder(order), record);
  }
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
  const page = new Page(request, parts.nowMs);
  let more = true;
  try {
    while (more && !page.isFull) {
      const files = await walk.take(page.room);
      for (const file of files) page.add(file.name, file);
      more = files.length > 0;
    }
    if (page.room === 0) more = (await walk.take(1)).length > 0;
  } finally {
    walk.close();
  }
  const { generation } = walk;
  return {
    entries: page.packed(),
    cursor: more ? cursorAt(request, { directory: root, generation, last: page.last }) : null,
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
  const page = new Page(request, parts.nowMs);
  for (const name of left.slice(0, request.limit)) page.add(name, rootEntry(joinPath(request.path, name), 0));
  return {
    entries: page.packed(),
    cursor: left.length > request.limit ? cursorAt(request, { directory, generation: 0, last: page.last }) : null,
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
  { directory, generation, last }: { readonly directory: Directory; readonly generation: number; last: Page['last'] },
): string | null {
  if (last === null) return null;
  return encodeCursor({ directory: directory.id, recursive, generation, type: last.type, last: last.name });
}

function secondsSince(timeMs: number, { nowMs }: KeptNames): number {
  return Number.isFinite(timeMs) ? Math.max(0, nowMs() - timeMs) / 1_000 : 0;
}
