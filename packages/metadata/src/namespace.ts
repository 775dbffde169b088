import { comparePaths, isBelow, joinPath, MillpoolError, pathBelow } from '@millpool/protocol';
import type { CheckSourceReply, CheckSourceRequest, ListReply, ListRequest } from '@millpool/protocol';

import type { Attached } from './attached.ts';
import { checkSource } from './check-source.ts';
import type { Directory } from './directory.ts';
import type { OnListed } from './flight.ts';
import { floorMsOf } from './freshness.ts';
import type { KeptNames } from './kept-names.ts';
import { directoryAbove, listAbove, listBelow, listDirectory } from './list.ts';
import type { ListedEntry } from './list.ts';
import { Lookup } from './lookup.ts';
import type { OnStored } from './lookup.ts';
import { noSuchPath, notADirectory, resolved } from './resolved-entry.ts';
import type { LookupResult, ResolvedEntry } from './resolved-entry.ts';
import { hasAnyBelow } from './source-pages.ts';
import type { DirectoryRecord } from './store/records.ts';
import { pagesOf, Walk } from './walk.ts';
import type { FileWalk, Made } from './walk.ts';

interface WalkAbove {
  readonly path: string;
  readonly after: string | null;
  readonly signal: AbortSignal;
}

/** The one namespace: attachments, the directories in them, and those above that only lead to attachments. */
export class Namespace {
  readonly #parts: KeptNames;
  readonly #lookup: Lookup;

  constructor(parts: KeptNames) {
    this.#parts = parts;
    this.#lookup = new Lookup(parts);
  }

  lookup(paths: readonly string[], signal: AbortSignal, onStored?: OnStored): Promise<LookupResult[]> {
    return this.#lookup.many(paths, signal, onStored);
  }

  lookupAtSource(paths: readonly string[], signal: AbortSignal): Promise<LookupResult[]> {
    return this.#lookup.manyAtSource(paths, signal);
  }

  async list(request: ListRequest, signal: AbortSignal): Promise<ListReply> {
    const { path, recursive, cursor } = request;
    const { attachments, shards } = this.#parts;
    const attached = attachments.covering(path);
    if (attached === null) {
      this.#checkLeads(path);
      const root = directoryAbove(path, shards);
      if (!recursive) return listAbove(this.#parts, request);
      return listBelow(this.#parts, request, {
        root,
        walk: (after) => this.#walkAbove({ path, after, signal }, listedBelow(path)),
      });
    }
    const isKnown = cursor !== null || this.#isListed(attached, path);
    return isKnown ? this.#page(attached, request, signal) : this.#firstPage(attached, request, signal);
  }

  #page(attached: Attached, request: ListRequest, signal: AbortSignal): Promise<ListReply> {
    const { path, recursive } = request;
    if (!recursive) return listDirectory(this.#parts, request, { attached, signal });
    const root = attached.directory(path, this.#parts.shards);
    return listBelow(this.#parts, request, {
      root,
      walk: (after) => new Walk(this.#parts, { attached, root, after, signal }, listedBelow(path)),
    });
  }

  /** Of what may be no directory. In a bucket that is seen by what is in it: only where nothing is, it is asked for. */
  async #firstPage(attached: Attached, request: ListRequest, signal: AbortSignal): Promise<ListReply> {
    const { path } = request;
    const { listings, shards } = this.#parts;
    if (attached.isFolder || this.#lookup.known(path) !== null) {
      await this.#checkDirectory(attached, path, signal);
      return this.#page(attached, request, signal);
    }
    const page = await this.#page(attached, request, signal);
    const directory = attached.directory(path, shards);
    if (!this.#hasAny(directory, listings.record(directory))) {
      await this.#checkDirectory(attached, path, signal).catch(async (error: unknown) => {
        await listings.forget(directory);
        throw error;
      });
    }
    return page;
  }

  /** A page of what is stored at or below a path and is not so at its source now; whatever is fresh. */
  checkSource(request: CheckSourceRequest, signal: AbortSignal): Promise<CheckSourceReply> {
    return checkSource(this.#parts, request, { signal, known: (path) => this.#entryOf(path, signal) });
  }

  /** All files at or below a path, in the byte order of their paths; complete, or it throws. */
  async *walk(
    path: string,
    signal: AbortSignal,
    onListed: OnListed = () => {},
  ): AsyncGenerator<readonly ResolvedEntry[]> {
    const { attachments, shards } = this.#parts;
    const attached = attachments.covering(path);
    if (attached === null) {
      this.#checkLeads(path);
      yield* pagesOf(this.#walkAbove({ path, after: null, signal }, resolved));
      return;
    }
    const entry = await this.#entryOf(path, signal);
    if (entry.type === 'file') {
      yield [entry];
      if (!(await this.#isAlsoDirectory(attached, path, signal))) return;
    }
    const root = attached.directory(path, shards);
    yield* pagesOf(new Walk(this.#parts, { attached, root, after: null, signal, onListed }, resolved));
  }

  /** The attachments below a path, walked one after another. */
  #walkAbove<T>({ path, after, signal }: WalkAbove, made: Made<T>): FileWalk<T> {
    const parts = this.#parts;
    const walks = parts.attachments
      .below(path)
      .toSorted((left, right) => comparePaths(`${left.attachment.path}/`, `${right.attachment.path}/`))
      .filter(
        ({ attachment }) =>
          after === null || isBelow(after, attachment.path) || comparePaths(attachment.path, after) > 0,
      )
      .map((attached) => {
        const root = attached.directory(attached.attachment.path, parts.shards);
        const from = after !== null && isBelow(after, root.path) ? after : null;
        return new Walk(parts, { attached, root, after: from, signal }, made);
      });
    let at = 0;
    return {
      async take(count) {
        for (let walk = walks[at]; walk !== undefined; walk = walks[(at += 1)]) {
          const files = await walk.take(count);
          if (files.length > 0) return files;
        }
        return [];
      },
      close() {
        for (const walk of walks) walk.close();
      },
      get oldestMs() {
        return Math.min(...walks.map((walk) => walk.oldestMs));
      },
      generation: 0,
    };
  }

  async #entryOf(path: string, signal: AbortSignal): Promise<ResolvedEntry> {
    const [found] = await this.lookup([path], signal);
    if (found === undefined || 'error' in found)
      throw found === undefined ? noSuchPath(path) : new MillpoolError(found.error);
    return found;
  }

  /** It is known to be a directory, by what is in it. */
  #isListed(attached: Attached, path: string): boolean {
    const { listings, shards, nowMs } = this.#parts;
    const directory = attached.directory(path, shards);
    return this.#hasAny(directory, listings.fresh(directory, floorMsOf(attached.attachment.freshness, nowMs())));
  }

  #hasAny(directory: Directory, record: DirectoryRecord | null): boolean {
    return record !== null && (record.hasDirectories || this.#parts.entries.countOf(directory) > 0);
  }

  async #checkDirectory(attached: Attached, path: string, signal: AbortSignal): Promise<void> {
    const entry = await this.#entryOf(path, signal);
    if (entry.type === 'directory' || (await this.#isAlsoDirectory(attached, path, signal))) return;
    throw notADirectory(path);
  }

  /** A bucket can hold keys below the key of a file. */
  async #isAlsoDirectory(attached: Attached, path: string, signal: AbortSignal): Promise<boolean> {
    const storage = await attached.storage();
    if (!storage.supports.fileBesideDirectory) return false;
    return hasAnyBelow(storage, attached.directory(path, this.#parts.shards).prefix, signal);
  }

  #checkLeads(path: string): void {
    if (path !== '/' && this.#parts.attachments.below(path).length === 0) throw noSuchPath(path);
  }
}

/** As a recursive listing of `path` shows it. */
function listedBelow(path: string): Made<ListedEntry> {
  return (directory, name, { type, size, mtimeMs, tag }) => {
    return { name: pathBelow(joinPath(directory.path, name), path), type, size, mtimeMs, tag };
  };
}
