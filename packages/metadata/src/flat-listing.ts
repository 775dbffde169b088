import { nameOfBytes } from '@millpool/protocol';
import type { RangedListing } from '@millpool/under-storage';

import { childOf, directoryEnd } from './directory.ts';
import type { Directory } from './directory.ts';
import type { OnListed } from './flight.ts';
import type { SkippedKeys } from './skipped.ts';
import { fileEntry } from './source-pages.ts';
import type { Turns } from './turns.ts';
import type { ListedTimes, Update } from './update.ts';

/** A directory being filled: its update, and what gives its lock back. */
export interface OpenDirectory {
  readonly directory: Directory;
  readonly update: Update;
  /** Ends the update and gives the lock back. */
  finish(times: ListedTimes): Promise<void>;
  abandon(): Promise<void>;
}

export interface FlatListing {
  readonly root: Directory;
  /** Of all below `root`. */
  readonly listing: RangedListing;
  readonly shards: number;
  readonly listedAtMs: number;
  readonly skipped: SkippedKeys;
  readonly turns: Turns;
  readonly tell: OnListed;
  open(directory: Directory): Promise<OpenDirectory>;
}

/**
 * Lists all below `root` without delimiter, and fills every directory on the way: ten million directories of three
 * files are ten thousand LISTs more than none, instead of ten million. Keys come in order, so the open directories are
 * those from the root to the last key; locks are taken downwards only. A failure leaves the open ones as they were.
 */
export async function fillBelow(filling: FlatListing): Promise<void> {
  const times = { listedAtMs: filling.listedAtMs, subtreeListedAtMs: filling.listedAtMs };
  const levels = [await filling.open(filling.root)];
  let files = 0;
  try {
    for await (const page of filling.listing.pages()) {
      for (const file of page.files) {
        await leaveUpTo(levels, file.key, times);
        const { directory, update } = await enter(filling, levels, file.key);
        update.addFile(file.key.subarray(directory.prefix.length), fileEntry(file));
      }
      filling.skipped.add(page.skipped);
      filling.tell((files += page.files.length));
      for (const { update } of levels) await update.settle();
      await filling.turns.next();
    }
    for (let level = levels.at(-1); level !== undefined; level = levels.at(-1)) {
      await level.finish(times);
      levels.pop();
    }
  } finally {
    for (const level of levels.toReversed()) await level.abandon();
  }
}

/** Ends the directories that `key` is not in. */
async function leaveUpTo(levels: OpenDirectory[], key: Uint8Array, times: ListedTimes): Promise<void> {
  for (let level = levels.at(-1); level !== undefined && !isIn(level.directory, key); level = levels.at(-1)) {
    await level.finish(times);
    levels.pop();
  }
}

/** Begins the directories that lead to `key`; gives the last. */
async function enter(filling: FlatListing, levels: OpenDirectory[], key: Uint8Array): Promise<OpenDirectory> {
  let level = levels.at(-1) as OpenDirectory;
  for (;;) {
    const { prefix } = level.directory;
    const end = directoryEnd(key, prefix.length);
    if (end === -1) return level;
    const name = nameOfBytes(key.subarray(prefix.length, end - 1));
    level.update.addDirectory(name);
    level = await filling.open(childOf(level.directory, name, filling.shards));
    levels.push(level);
  }
}

function isIn(directory: Directory, key: Uint8Array): boolean {
  const { prefix } = directory;
  return key.length > prefix.length && Buffer.compare(key.subarray(0, prefix.length), prefix) === 0;
}
