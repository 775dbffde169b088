import { setMaxListeners } from 'node:events';

import { abortError } from '@millpool/host';
import { asMillpoolError, nameOf, parentOf } from '@millpool/protocol';

import { AbsentNames } from './absent-names.ts';
import type { Attached } from './attached.ts';
import { childOf, sourceKeyOf } from './directory.ts';
import type { Directory } from './directory.ts';
import { floorMsOf } from './freshness.ts';
import type { StoreLookups } from './hot-names.ts';
import type { KeptNames } from './kept-names.ts';
import { noSuchPath, resolved, rootEntry } from './resolved-entry.ts';
import type { LookupResult } from './resolved-entry.ts';
import { directoryEntry, fileEntry, hasAnyBelow } from './source-pages.ts';
import type { DirectoryRecord } from './store/records.ts';

/** Called with what was looked up in the store, once a directory. */
export type OnStored = (lookups: StoreLookups) => void;

/** One request's look-ups: one time holds for all, and directories are made once. */
interface Batch {
  readonly nowMs: number;
  readonly signal: AbortSignal;
  /** Nothing stored is believed. */
  readonly atSource: boolean;
  readonly directories: Map<string, Directory>;
  /** By directory, what was found in this turn of the event loop, in which nobody else writes; null: nothing fresh. */
  readonly fresh: Map<Directory, DirectoryRecord | null>;
  /** Names that were looked up in the store, by directory. */
  readonly stored: Map<Directory, StoreLookups & { names: number }>;
  readonly onStored: OnStored;
}

const asksAtOnce = 64;
/** Looked up in the store in one turn of the event loop; what is asked for of a batch of samples needs none more. */
const pathsATurn = 256;
/**
 * So many names of one directory that had to be asked for singly, and it is listed in passing: a LIST of 1,000 names
 * costs as much as some ten HEADs, so a directory known to be large is not listed for a few.
 */
const asksBeforeListing = 32;
const namesAnAsk = 100;
const countedMax = 10_000;

/**
 * Path to entry. From the store where the directory's listing is whole and fresh enough: its no is certain then too.
 * Otherwise the source is asked for the one name, by HEAD, and for anything below it, which makes it a directory; that
 * there is neither is remembered as long as a listing would be. Where
 * a bucket holds both `a` and keys below `a/`, the path is the file here, and a directory to `list` and `walk`.
 */
export class Lookup {
  readonly #parts: KeptNames;
  /** How often the source was asked for a name of a directory, by path. */
  readonly #asks = new Map<string, number>();
  readonly #absent = new AbsentNames();

  constructor(parts: KeptNames) {
    this.#parts = parts;
  }

  /** In the order asked; one failing path does not fail the others. Rejects only when the signal aborts. */
  many(paths: readonly string[], signal: AbortSignal, onStored: OnStored = () => {}): Promise<LookupResult[]> {
    return this.#all(paths, { ...this.#batch(signal, false), onStored });
  }

  /** The same, as the source has them now, whatever is stored. */
  manyAtSource(paths: readonly string[], signal: AbortSignal): Promise<LookupResult[]> {
    return this.#all(paths, this.#batch(signal, true));
  }

  /** As it is stored; null: the source would have to be asked. */
  known(path: string): LookupResult | null {
    return this.#stored(path, this.#batch(new AbortController().signal, false));
  }

  #batch(signal: AbortSignal, atSource: boolean): Batch {
    return {
      nowMs: this.#parts.nowMs(),
      signal,
      atSource,
      directories: new Map(),
      fresh: new Map(),
      stored: new Map(),
      onStored: () => {},
    };
  }

  async #all(paths: readonly string[], batch: Batch): Promise<LookupResult[]> {
    const { signal } = batch;
    setMaxListeners(0, signal);
    const results: (LookupResult | null)[] = [];
    for (const path of paths) {
      if (results.length > 0 && results.length % pathsATurn === 0) {
        await this.#parts.turns.next(signal);
        batch.fresh.clear();
      }
      results.push(this.#stored(path, batch));
    }
    for (const lookups of batch.stored.values()) batch.onStored(lookups);
    const open = results.flatMap((result, index) => (result === null ? [index] : []));
    let next = 0;
    const ask = async (): Promise<void> => {
      for (let index = open[next++]; index !== undefined; index = open[next++]) {
        if (signal.aborted) throw abortError(signal);
        const path = paths[index] as string;
        batch.fresh.clear();
        results[index] = this.#stored(path, batch) ?? (await this.#asked(path, batch).catch(failureOf(path)));
      }
    };
    await Promise.all(Array.from({ length: Math.min(asksAtOnce, open.length) }, ask));
    if (signal.aborted) throw abortError(signal);
    return results as LookupResult[];
  }

  /** Null: the source has to be asked. */
  #stored(path: string, batch: Batch): LookupResult | null {
    const attached = this.#parts.attachments.covering(path);
    if (attached === null) return this.#aboveAttachments(path);
    const { attachment } = attached;
    if (path === attachment.path) return rootEntry(path, attachment.id);
    if (batch.atSource || attachment.freshness.kind === 'strict') return null;
    const directory = this.#directoryOf(attached, path, batch);
    const floorMs = floorMsOf(attachment.freshness, batch.nowMs);
    const record = this.#fresh(directory, floorMs, batch);
    if (record === null) {
      return this.#absent.has(attachment.id, path, floorMs) ? { error: noSuchPath(path).shape } : null;
    }
    this.#note(directory, record, floorMs, batch);
    return this.#parts.entries.named(directory, nameOf(path)) ?? { error: noSuchPath(path).shape };
  }

  #fresh(directory: Directory, floorMs: number, { fresh }: Batch): DirectoryRecord | null {
    const known = fresh.get(directory);
    if (known !== undefined) return known;
    const record = this.#parts.listings.fresh(directory, floorMs);
    fresh.set(directory, record);
    return record;
  }

  #note(directory: Directory, record: DirectoryRecord, floorMs: number, { stored, nowMs }: Batch): void {
    const known = stored.get(directory);
    if (known !== undefined) {
      known.names += 1;
      return;
    }
    const { listings } = this.#parts;
    const freshUntilMs = record.listedAtMs + (nowMs - floorMs);
    stored.set(directory, { directory, record, freshUntilMs, names: 1, current: () => listings.record(directory) });
  }

  #aboveAttachments(path: string): LookupResult {
    const leads = path === '/' || this.#parts.attachments.below(path).length > 0;
    return leads ? rootEntry(path, 0) : { error: noSuchPath(path).shape };
  }

  async #asked(path: string, batch: Batch): Promise<LookupResult> {
    const attached = this.#parts.attachments.covering(path);
    if (attached === null) return { error: noSuchPath(path).shape };
    const storage = await attached.storage();
    const directory = this.#directoryOf(attached, path, batch);
    const name = nameOf(path);
    this.#count(attached, directory);
    const { signal } = batch;
    const { id } = attached.attachment;
    this.#absent.delete(id, path);
    const file = await storage.stat(sourceKeyOf(directory, name), signal);
    if (file !== null) return resolved(directory, name, fileEntry(file));
    // A folder's directory may be empty, so that only the listing above it shows it.
    if (storage.supports.emptyDirectories) return this.#listed(attached, path, batch);
    const { prefix } = childOf(directory, name, this.#parts.shards);
    if (await hasAnyBelow(storage, prefix, signal)) return resolved(directory, name, directoryEntry);
    this.#absent.add(id, path, batch.nowMs);
    return { error: noSuchPath(path).shape };
  }

  async #listed(attached: Attached, path: string, batch: Batch): Promise<LookupResult> {
    const directory = this.#directoryOf(attached, path, batch);
    const floorMs = floorMsOf(attached.attachment.freshness, batch.nowMs);
    await this.#parts.listings.ensure(attached, directory, { floorMs, signal: batch.signal });
    const entry = this.#parts.entries.named(directory, nameOf(path));
    return entry?.type === 'directory' ? entry : { error: noSuchPath(path).shape };
  }

  /** The directory that a path is in. */
  #directoryOf(attached: Attached, path: string, { directories }: Batch): Directory {
    const above = parentOf(path);
    const known = directories.get(above);
    if (known !== undefined) return known;
    const directory = attached.directory(above, this.#parts.shards);
    directories.set(above, directory);
    return directory;
  }

  /** A directory of which many names are asked is soon listed as a whole, in the background. */
  #count(attached: Attached, directory: Directory): void {
    const asks = (this.#asks.get(directory.path) ?? 0) + 1;
    if (this.#asks.size > countedMax) this.#asks.clear();
    const enough = Math.max(asksBeforeListing, this.#parts.entries.countOf(directory) / namesAnAsk);
    if (asks < enough || attached.attachment.freshness.kind === 'strict') {
      this.#asks.set(directory.path, asks);
      return;
    }
    this.#asks.delete(directory.path);
    const floorMs = floorMsOf(attached.attachment.freshness, this.#parts.nowMs());
    this.#parts.listings.ensure(attached, directory, { floorMs, signal: attached.signal }).catch(() => {});
  }
}

function failureOf(path: string): (error: unknown) => LookupResult {
  return (error) => ({ error: { ...asMillpoolError(error).shape, path } });
}
