import { abortError } from '@millpool/host';
import { pathBelow } from '@millpool/protocol';

import type { Attached } from './attached.ts';
import { childOf } from './directory.ts';
import type { Directory } from './directory.ts';
import { classesIn } from './entries.ts';
import type { Entries } from './entries.ts';
import type { EntryScan } from './entry-scan.ts';
import type { OnListed } from './flight.ts';
import { floorMsOf } from './freshness.ts';
import { namesAround, PathOrder } from './path-order.ts';
import { entryClasses } from './store/keys.ts';
import type { EntryClass } from './store/keys.ts';
import type { DirectoryRecord, EntryRecord } from './store/records.ts';
import { nameOfOrder, orderOfName } from './stored-entry.ts';
import type { StoredEntry } from './stored-entry.ts';
import type { Turns } from './turns.ts';

type Ensure = (
  attached: Attached,
  directory: Directory,
  request: { readonly floorMs: number; readonly signal: AbortSignal; readonly onListed?: OnListed },
) => Promise<DirectoryRecord | null>;

/** What a walk goes by; a directory for which it gives null is passed. */
export interface WalkListings {
  fresh(directory: Directory, floorMs: number): DirectoryRecord | null;
  readonly ensure: Ensure;
  readonly ensureBelow: Ensure;
}

interface Parts {
  readonly listings: WalkListings;
  readonly entries: Entries;
  readonly shards: number;
  readonly nowMs: () => number;
  readonly turns: Turns;
}

export interface WalkRequest {
  readonly attached: Attached;
  readonly root: Directory;
  /** Only files whose path comes after this one, which is below the root's; null: from the first. */
  readonly after: string | null;
  readonly signal: AbortSignal;
  /** Told how many files there are, as far as that is known before they are given. */
  readonly onListed?: OnListed;
}

/** What a walk gives a file as. */
export type Made<T> = (directory: Directory, name: string, record: EntryRecord) => T;

/** Files in the byte order of their paths, a few at a time. */
export interface FileWalk<T> {
  /** Up to `count` of those that come next, and fewer where they take long; none at the end. */
  take(count: number): Promise<T[]>;
  /** Nothing more is wanted of it. */
  close(): void;
  /** When the oldest LIST began of those that what was given so far came from. */
  readonly oldestMs: number;
  /** Of the root's listing. */
  readonly generation: number;
}

/** A directory that is being walked. */
interface Frame {
  readonly directory: Directory;
  readonly scan: EntryScan;
  readonly order: PathOrder;
  /** What of the start's path lies in here, in `order` form. */
  readonly start: Start | null;
}

interface Start {
  readonly name: string;
  /** Below that name; null when it is the file itself. */
  readonly rest: string | null;
}

const filesAtOnce = 1_000;
/** What is gone through in one turn of the event loop: a millisecond or two. A directory to go into is as many. */
const entriesATurn = 512;
const entriesADirectory = 16;

/** The whole of a walk, in pages. */
export async function* pagesOf<T>(walk: FileWalk<T>): AsyncGenerator<readonly T[]> {
  try {
    for (let page: T[] = []; ;) {
      const files = await walk.take(filesAtOnce - page.length);
      page.push(...files);
      if (page.length > 0 && (files.length === 0 || page.length === filesAtOnce)) {
        yield page;
        page = [];
      }
      if (files.length === 0) return;
    }
  } finally {
    walk.close();
  }
}

/**
 * All files below a directory in the byte order of their paths, out of the store. What is not fresh there is listed
 * first: a bucket as a whole and flat, a folder directory by directory (its LIST is local, and it shows empty
 * directories). Freshness is judged as of the walk's beginning, so that a long walk does not list again what it listed
 * itself. Complete, or it throws. While it goes on, files that come or go may be in it or not; all others are in it
 * once.
 */
export class Walk<T> implements FileWalk<T> {
  readonly #parts: Parts;
  readonly #request: WalkRequest;
  readonly #made: Made<T>;
  readonly #floorMs: number;
  readonly #frames: Frame[] = [];
  #isBegun = false;
  /** Entries that may still be gone through in this turn. */
  #left = 0;
  #oldestMs = Number.POSITIVE_INFINITY;
  #generation = 0;

  constructor(parts: Parts, request: WalkRequest, made: Made<T>) {
    this.#parts = parts;
    this.#request = request;
    this.#made = made;
    const { freshness } = request.attached.attachment;
    // A listing that goes on has asked already; `strict` asks where it begins.
    const goesOn = request.after !== null && freshness.kind === 'strict';
    this.#floorMs = goesOn ? Number.NEGATIVE_INFINITY : floorMsOf(freshness, parts.nowMs());
  }

  get oldestMs(): number {
    return this.#oldestMs;
  }

  get generation(): number {
    return this.#generation;
  }

  async take(count: number): Promise<T[]> {
    const files: T[] = [];
    await this.#turn();
    if (!this.#isBegun) await this.#begin();
    for (let frame = this.#frames.at(-1); frame !== undefined && files.length < count; frame = this.#frames.at(-1)) {
      if (this.#left <= 0 && files.length > 0) break;
      if (this.#left <= 0) await this.#turn();
      const directory = this.#passFiles(frame, files, count);
      if (directory !== null) await this.#descend(frame, directory);
    }
    return files;
  }

  close(): void {
    for (const { scan } of this.#frames.splice(0)) scan.close();
  }

  async #begin(): Promise<void> {
    this.#isBegun = true;
    const { root, after } = this.#request;
    await this.#enter(root, after === null ? null : startOf(pathBelow(after, root.path)));
  }

  async #turn(): Promise<void> {
    const { signal, attached } = this.#request;
    await this.#parts.turns.next(signal);
    if (attached.signal.aborted) throw abortError(attached.signal);
    this.#left = entriesATurn;
  }

  /** Takes files up to `count`, the turn's or the frame's end, or the directory that comes next. */
  #passFiles({ directory, scan, order, start }: Frame, files: T[], count: number): string | null {
    for (; files.length < count && this.#left > 0; this.#left -= 1) {
      const next = scan.head;
      const due = order.due(next?.order ?? null);
      if (due !== null) return due;
      if (next === null) {
        this.#frames.pop();
        return null;
      }
      scan.pass();
      if (next.kind === entryClasses.directory) order.wait(next.order);
      else if (!isPassed(start, next)) files.push(this.#made(directory, nameOfOrder(next.order), next.record));
    }
    return null;
  }

  async #descend(frame: Frame, order: string): Promise<void> {
    const { start } = frame;
    this.#left -= entriesADirectory;
    // Directories in which all comes before the start were passed; the one that leads to it is gone into from there.
    if (start !== null && `${order}/` < orderOfStart(start)) return;
    const rest = start !== null && start.name === order && start.rest !== null ? startOf(start.rest) : null;
    await this.#enter(childOf(frame.directory, nameOfOrder(order), this.#parts.shards), rest);
  }

  async #enter(directory: Directory, start: Start | null): Promise<void> {
    const { attached } = this.#request;
    const { listings } = this.#parts;
    const { signal, onListed = () => {} } = this.#request;
    const isRoot = this.#frames.length === 0;
    const request = { floorMs: this.#floorMs, signal, ...(isRoot ? { onListed } : {}) };
    let record = isRoot ? null : listings.fresh(directory, this.#floorMs);
    record ??= attached.isFolder
      ? await listings.ensure(attached, directory, request)
      : await listings.ensureBelow(attached, directory, request);
    if (record === null) return;
    if (isRoot) this.#generation = record.generation;
    if (isRoot && !record.hasDirectories) onListed(this.#parts.entries.countOf(directory));
    this.#oldestMs = Math.min(this.#oldestMs, record.listedAtMs);
    this.#frames.push(this.#frameOf(directory, start, classesIn(record)));
  }

  #frameOf(directory: Directory, start: Start | null, kinds: readonly EntryClass[]): Frame {
    const { entries } = this.#parts;
    const scan = entries.scan(directory, { kinds, from: start?.name ?? '', to: null });
    const frame = { directory, scan, order: new PathOrder(), start };
    for (const name of namesAround(start?.name ?? '')) {
      if (entries.get(directory, 'directory', nameOfOrder(name)) !== null) frame.order.wait(name);
    }
    return frame;
  }
}

/** A path below a directory, as its first name and the rest. */
function startOf(path: string): Start {
  const slash = path.indexOf('/');
  if (slash === -1) return { name: orderOfName(path), rest: null };
  return { name: orderOfName(path.slice(0, slash)), rest: path.slice(slash + 1) };
}

function orderOfStart({ name, rest }: Start): string {
  return rest === null ? name : `${name}/`;
}

function isPassed(start: Start | null, entry: StoredEntry): boolean {
  return start !== null && entry.order <= orderOfStart(start);
}
