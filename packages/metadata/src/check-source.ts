import { comparePaths, isWeak, nameOf, parentOf } from '@millpool/protocol';
import type { CheckSourceReply, CheckSourceRequest } from '@millpool/protocol';

import type { Attached } from './attached.ts';
import type { Attachments } from './attachments.ts';
import { sourceKeyOf } from './directory.ts';
import type { Directory } from './directory.ts';
import { noSuchPath } from './resolved-entry.ts';
import { badCursor, decodeSourceCheckCursor, encodeSourceCheckCursor } from './source-check-cursor.ts';
import type { SourceCheckPlace } from './source-check-cursor.ts';
import { differenceOf, SourceCheck } from './source-check.ts';
import type { SourceCheckParts } from './source-check.ts';

interface Parts extends SourceCheckParts {
  readonly attachments: Attachments;
}

interface Context {
  readonly signal: AbortSignal;
  /** Rejects with `not-found` where nothing is known of a path, nor at the source. */
  known(path: string): Promise<unknown>;
}

const start: SourceCheckPlace = { stored: null, listed: null };

/**
 * One page of comparing what is stored at or below a path with its source: of a subtree, or of one file, or of the
 * attachments below it one after another. A source that cannot be asked rejects.
 */
export async function checkSource(
  parts: Parts,
  request: CheckSourceRequest,
  context: Context,
): Promise<CheckSourceReply> {
  const { path, cursor, limit } = request;
  const { attachments, shards } = parts;
  const covering = attachments.covering(path);
  const all = covering === null ? attachmentsBelow(attachments, path) : [covering];
  const at = cursor === null ? null : decodeSourceCheckCursor(cursor, path);
  const index = at === null ? 0 : all.findIndex(({ attachment }) => attachment.id === at.attachment);
  const attached = all[index];
  if (attached === undefined && cursor === null && path === '/') return nothing;
  if (attached === undefined) throw cursor === null ? noSuchPath(path) : badCursor(path);

  const root = attached.directory(covering === null ? attached.attachment.path : path, shards);
  const { attachment } = attached;
  if (at === null && root.path !== attachment.path) {
    const file = await checkFile(parts, attached, { path, context });
    if (file !== null) return file;
  }
  const place = at ?? start;
  if (!isIn(root, place.stored) || !isIn(root, place.listed)) throw badCursor(path);
  const storage = await attached.storage();
  const { signal } = context;
  const { next, ...page } = await new SourceCheck(parts, { attached, storage, root, place, limit, signal }).page();
  const then = next === null ? all[index + 1]?.attachment.id : attachment.id;
  return {
    ...page,
    cursor: then === undefined ? null : encodeSourceCheckCursor({ attachment: then, ...(next ?? start) }),
  };
}

const nothing: CheckSourceReply = { differences: [], files: 0, filesNotCompared: 0, filesWeak: 0, cursor: null };

/** Null: neither stored nor at the source is it a file. */
async function checkFile(
  { listings, entries, shards }: Parts,
  attached: Attached,
  { path, context }: { readonly path: string; readonly context: Context },
): Promise<CheckSourceReply | null> {
  const parent = attached.directory(parentOf(path), shards);
  const isListed = listings.listed(parent) !== null;
  const old = isListed ? entries.get(parent, 'file', nameOf(path)) : null;
  const storage = await attached.storage();
  const now = await storage.stat(sourceKeyOf(parent, nameOf(path)), context.signal);
  if (old === null && now === null) {
    if (listings.listed(attached.directory(path, shards)) === null) await context.known(path);
    return null;
  }
  if (!isListed) {
    const unlisted = { kind: 'unlisted', type: 'directory', path: parent.path, ...noBytes } as const;
    return { ...nothing, differences: [unlisted], filesNotCompared: 1 };
  }
  const difference = differenceOf(path, old, now);
  const filesWeak = Number(isWeak((now ?? old)?.tag ?? ''));
  return { ...nothing, files: 1, filesWeak, differences: difference === null ? [] : [difference] };
}

const noBytes = { storedBytes: null, sourceBytes: null };

function attachmentsBelow(attachments: Attachments, path: string): readonly Attached[] {
  return attachments
    .below(path)
    .toSorted((left, right) => comparePaths(`${left.attachment.path}/`, `${right.attachment.path}/`));
}

function isIn({ prefix }: Directory, key: Uint8Array | null): boolean {
  return key === null || (key.length > prefix.length && Buffer.compare(key.subarray(0, prefix.length), prefix) === 0);
}
