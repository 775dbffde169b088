import { abortError } from '@millpool/host';
import { pathBelow } from '@millpool/protocol';

import type { Attached } from './attached.ts';
import { childOf } from './directory.ts';
import type { Directory } from './directory.ts';
import { classesIn, nameOfOrder, orderOfName } from './entries.ts';
import type { Entries, StoredEntry } from './entries.ts';
import { floorMsOf } from './freshness.ts';
import { namesAround, PathOrder } from './path-order.ts';
import { resolved } from './resolved-entry.ts';
import type { ResolvedEntry } from './resolved-entry.ts';
import { entryClasses } from './store/keys.ts';
import type { EntryClass } from './store/keys.ts';
import type { DirectoryRecord } from './store/records.ts';

type Ensure = (
  attached: Attached,
  directory: Directory,
  request: { floorMs: number; signal: AbortSignal },
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
}

export interface WalkRequest {
  readonly attached: Attached;
  readonly root: Directory;
  /** Only files whose path comes after this one, which is below the root's; null: from the first. */
  readonly after: string | null;
  readonly signal: AbortSignal;
}

/** A directory that is being walked. */
interface Frame {
  readonly directory: Directory;
  readonly kinds: readonly EntryClass[];
  readonly order: PathOrder;
  /** What of the start's path lies in here, in `order` form; null once it is passed. */
  start: Start | null;
  /** Read, not yet passed. */
  entries: StoredEntry[];
  at: number;
  /** Where to read on; null after the last. */
  from: string | null;
}

interface Start {
  readonly name: string;
  /** Below that name; null when it is the file itself. */
  readonly rest: string | null;
}

const filesAtOnce = 1_000;
const entriesAtOnce = 1_000;

/**
 * All files below a directory in the byte order of their paths, out of the store. What is not fresh there is listed
 * first: a bucket as a whole and flat, a folder directory by directory (its LIST is local, and it shows empty
 * directories). Freshness is judged as of the walk's beginning, so that a long walk does not list again what it listed
 * itself. Complete, or it throws. While it goes on, files that come or go may be in it or not; all others are in it
 * once.
 */
export class Walk {
  readonly #parts: Parts;
  readonly #request: WalkRequest;
  readonly #floorMs: number;
  readonly #frames: Frame[] = [];
  #oldestMs = Number.POSITIVE_INFINITY;
  #generation = 0;

  constructor(parts: Parts, request: WalkRequest) {
    this.#parts = parts;
    this.#request = request;
    const { freshness } = request.attached.attachment;
    // A listing that goes on has asked already; `strict` asks where it begins.
    const goesOn = request.after !== null && freshness.kind === 'strict';
    this.#floorMs = goesOn ? Number.NEGATIVE_INFINITY : floorMsOf(freshness, parts.nowMs());
  }

  /** When the oldest LIST began of those that what was given so far came from. */
  get oldestMs(): number {
    return this.#oldestMs;
  }

  /** Of the root's listing. */
  get generation(): number {
    return this.#generation;
  }

  async *pages(): AsyncGenerator<readonly ResolvedEntry[]> {
    const { root, after } = this.#request;
    await this.#enter(root, after === null ? null : startOf(pathBelow(after, root.path)));
    let page: ResolvedEntry[] = [];
    for (let frame = this.#frames.at(-1); frame !== undefined; frame = this.#frames.at(-1)) {
      this.#checkWanted();
      const directory = this.#passFiles(frame, page);
      if (directory !== null) await this.#descend(frame, directory);
      if (page.length < filesAtOnce) continue;
      yield page;
      page = [];
    }
    if (page.length > 0) yield page;
  }

  /** Takes files up to a full page, the frame's end, or the directory that comes next. */
  #passFiles(frame: Frame, page: ResolvedEntry[]): string | null {
    while (page.length < filesAtOnce) {
      const next = this.#peek(frame);
      const due = frame.order.due(next?.order ?? null);
      if (due !== null) return due;
      if (next === null) {
        this.#frames.pop();
        return null;
      }
      frame.at += 1;
      if (next.kind === entryClasses.directory) frame.order.wait(next.order);
      else if (!isPassed(frame.start, next)) {
        page.push(resolved(frame.directory, nameOfOrder(next.order), next.record));
      }
    }
    return null;
  }

  async #descend(frame: Frame, order: string): Promise<void> {
    const { start } = frame;
    // Directories in which all comes before the start were passed; the one that leads to it is gone into from there.
    if (start !== null && `${order}/` < orderOfStart(start)) return;
    const rest = start !== null && start.name === order && start.rest !== null ? startOf(start.rest) : null;
    await this.#enter(childOf(frame.directory, nameOfOrder(order), this.#parts.shards), rest);
  }

  async #enter(directory: Directory, start: Start | null): Promise<void> {
    const { attached } = this.#request;
    const { listings } = this.#parts;
    const request = { floorMs: this.#floorMs, signal: this.#request.signal };
    const isRoot = this.#frames.length === 0;
    let record = isRoot ? null : listings.fresh(directory, this.#floorMs);
    record ??= attached.isFolder
      ? await listings.ensure(attached, directory, request)
      : await listings.ensureBelow(attached, directory, request);
    if (record === null) return;
    if (isRoot) this.#generation = record.generation;
    this.#oldestMs = Math.min(this.#oldestMs, record.listedAtMs);
    this.#frames.push(this.#frameOf(directory, start, classesIn(record)));
  }

  #checkWanted(): void {
    const { signal, attached } = this.#request;
    if (signal.aborted) throw abortError(signal);
    if (attached.signal.aborted) throw abortError(attached.signal);
  }

  #frameOf(directory: Directory, start: Start | null, kinds: readonly EntryClass[]): Frame {
    const order = new PathOrder();
    const from = start?.name ?? '';
    const frame = { directory, kinds, order, start, entries: [], at: 0, from };
    if (start === null) return frame;
    for (const name of namesAround(start.name)) {
      if (this.#parts.entries.get(directory, 'directory', nameOfOrder(name)) !== null) order.wait(name);
    }
    return frame;
  }

  #peek(frame: Frame): StoredEntry | null {
    if (frame.at < frame.entries.length) return frame.entries[frame.at] ?? null;
    if (frame.from === null) return null;
    frame.entries = [];
    frame.at = 0;
    for (const entry of this.#parts.entries.scan(frame.directory, { kinds: frame.kinds, from: frame.from, to: null })) {
      if (frame.entries.length >= entriesAtOnce && entry.order !== frame.entries.at(-1)?.order) {
        frame.from = entry.order;
        return frame.entries[0] ?? null;
      }
      frame.entries.push(entry);
    }
    frame.from = null;
    return frame.entries[0] ?? null;
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
