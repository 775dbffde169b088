import { unpackObjects } from '@millpool/native';
import type { Batch as NativeBatch, FlowClient, Ranges } from '@millpool/native';
import {
  decodeReply,
  encodeCall,
  etagOf,
  isWeak,
  MillpoolError,
  nameOf,
  parsePath,
  unpackEntries,
} from '@millpool/protocol';
import type { Call, Entry, ListReply } from '@millpool/protocol';

import { settleBatch } from './batch.ts';
import type { Batch, BatchRows, OnError } from './batch.ts';
import { Dataset } from './dataset.ts';

const pageEntries = 5000;
/** The first page is short, so that its entries are there soon: a page of a large directory takes long to merge. */
const firstPageEntries = 256;
const chunkBytes = 16 * 1024 * 1024;
/** The daemon ends a call at its deadline and says on what it waited; only a daemon that hangs needs this much more. */
const graceMs = 1_000;

type FlowReadOptions = Parameters<FlowClient['readObjects']>[1];

interface Part {
  readonly offset: number;
  readonly length: number;
}

interface ReadHow {
  readonly onError: OnError;
  /** Of each file, as far as it reaches; without it all of each. */
  readonly part?: Part;
}

export interface CallOptions {
  readonly signal?: AbortSignal;
  readonly timeoutSeconds?: number;
}

/** A file or directory as users see it. */
export interface Info {
  readonly path: string;
  readonly name: string;
  readonly type: 'file' | 'directory';
  /** Bytes. */
  readonly size: number;
  readonly mtime: Date | null;
  readonly etag: string | null;
  /** Without an etag, versions are told apart by size and time alone. */
  readonly identity: 'strong' | 'weak';
}

export interface FileInfo extends Info {
  /** Every byte of it is in a segment of this node. */
  readonly cached: boolean;
  readonly cachedBytes: number;
}

/** A connection to this node's daemon. One a process is enough; all its methods may run at the same time. */
export class Mill {
  readonly #flow: FlowClient;
  readonly #timeoutSeconds: number;

  /** For `connect`. */
  constructor(flow: FlowClient, timeoutSeconds: number) {
    this.#flow = flow;
    this.#timeoutSeconds = timeoutSeconds;
  }

  /** Entries of a directory in name order, or every file below it in path order. Throws `not-found`. */
  async *list(path: string, options: CallOptions & { readonly recursive?: boolean } = {}): AsyncGenerator<Info> {
    const { recursive = false } = options;
    let cursor: string | null = null;
    do {
      const limit = cursor === null ? firstPageEntries : pageEntries;
      const request = { path: parsePath(path), recursive, cursor, limit };
      const page: ListReply = await this.#call('list', request, options);
      for (const entry of unpackEntries(page.entries)) yield infoOf(entry);
      cursor = page.cursor;
    } while (cursor !== null);
  }

  /** Throws `not-found`. */
  async stat(path: string, options: CallOptions = {}): Promise<FileInfo> {
    const { results } = await this.#call('stat', { paths: [parsePath(path)] }, options);
    const [found] = results;
    if (found === undefined || 'error' in found) throw new MillpoolError(found?.error ?? missing(path));
    const { cachedBytes } = found;
    return { ...infoOf(found), cached: found.type === 'file' && cachedBytes === found.size, cachedBytes };
  }

  /** A file's bytes, or `length` of them from `offset` on (fewer at its end); the caller's own. */
  async read(path: string, options: CallOptions & { offset?: number; length?: number } = {}): Promise<Uint8Array> {
    const { offset = 0, length } = options;
    const part = { offset, length: length ?? Number.MAX_SAFE_INTEGER };
    using batch = await this.#read([path], this.#readOptions(options), { onError: 'raise', part });
    return batch.copy(0);
  }

  /**
   * A file's bytes in order, in chunks of 16 MiB, the caller's own; the next one is read while the caller works on the
   * last. All are of one version: `source-changed` ends a file that changes meanwhile.
   */
  async *stream(path: string, options: CallOptions = {}): AsyncGenerator<Uint8Array> {
    let { objects, size } = await this.#file(path, options, false);
    let ahead = await this.#chunk(path, objects, 0, options).catch(async (error: unknown) => {
      if (!isChanged(error)) throw error;
      ({ objects, size } = await this.#file(path, options, true));
      return this.#chunk(path, objects, 0, options);
    });
    for (let offset = chunkBytes; offset < size; offset += chunkBytes) {
      const next = this.#chunk(path, objects, offset, options);
      // The consumer may stop early; a failure of a chunk that nobody asks for is nobody's.
      next.catch(() => undefined);
      yield ahead;
      ahead = await next;
    }
    if (size > 0) yield ahead;
  }

  /**
   * Many files in one round trip. By default one that cannot be read rejects the whole; `keep` leaves it in its place,
   * where `batch.error(i)` tells why.
   */
  async readMany(paths: readonly string[], options: CallOptions & { onError?: OnError } = {}): Promise<Batch> {
    return this.#read(paths, this.#readOptions(options), { onError: options.onError ?? 'raise' });
  }

  /** A dataset version: of what is below the path now, or one made before. */
  async dataset(
    path: string,
    options: CallOptions & { readonly version?: string; readonly include?: string } = {},
  ): Promise<Dataset> {
    const { version = null, include = null } = options;
    const made = await this.#call('dataset', { path: parsePath(path), version, include }, options);
    const timeoutMs = this.#timeoutMs(options);
    const file = await this.#flow.dataset(made.version, { timeoutMs });
    return new Dataset(file, { flow: this.#flow, call: this.#call, timeoutMs });
  }

  /** Ends every call under way. Batches stay readable until they are released. */
  async close(): Promise<void> {
    this.#flow.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  readonly #call: Call = async (method, request, options = {}) => {
    const timeoutMs = this.#timeoutMs(options);
    const { signal } = options;
    const body = encodeCall(method, request, timeoutMs);
    const wait = { timeoutMs: timeoutMs + graceMs, ...(signal ? { signal } : {}) };
    return decodeReply(method, await this.#flow.control(body, wait));
  };

  /**
   * Resolves the paths in one message and reads what was found; failures of either keep their place. Where a file is no
   * longer what its listing said, all are resolved again, at the source, and read as they are now.
   */
  async #read(paths: readonly string[], options: FlowReadOptions, how: ReadHow): Promise<Batch> {
    const first = await this.#attempt(paths, options, { ...how, atSource: false });
    if (![...first.rows.errors.values()].some(isChanged)) return settleBatch(first.read, first.rows, how.onError);
    first.read.release();
    const { read, rows } = await this.#attempt(paths, options, { ...how, atSource: true });
    return settleBatch(read, rows, how.onError);
  }

  async #attempt(
    paths: readonly string[],
    options: FlowReadOptions,
    { onError, part, atSource }: ReadHow & { readonly atSource: boolean },
  ): Promise<{ readonly read: NativeBatch; readonly rows: BatchRows }> {
    const { timeoutMs, signal } = options;
    const asked = { timeoutSeconds: timeoutMs / 1000, ...(signal ? { signal } : {}) };
    const { objects, failures } = await this.#call('resolve', { paths: paths.map(parsePath), atSource }, asked);
    const unresolved = new Map(failures.map(({ index, error }) => [index, new MillpoolError(error)]));
    const [first] = unresolved.values();
    if (first !== undefined && (onError === 'raise' || unresolved.size === paths.length)) throw first;
    const ranges = part === undefined ? {} : { ranges: rangesOf(objects, part) };
    const read = await this.#flow.readObjects(objects, { ...options, ...ranges });
    return { read, rows: rowsOf(paths, unresolved, read.failures) };
  }

  async #file(path: string, options: CallOptions, atSource: boolean): Promise<{ objects: Uint8Array; size: number }> {
    const { objects, failures } = await this.#call('resolve', { paths: [parsePath(path)], atSource }, options);
    const [failure] = failures;
    if (failure !== undefined) throw new MillpoolError(failure.error);
    return { objects, size: unpackObjects(objects)[0]?.size ?? 0 };
  }

  /** Of the one file in `objects`. */
  async #chunk(path: string, objects: Uint8Array, offset: number, options: CallOptions): Promise<Uint8Array> {
    const ranges = rangesOf(objects, { offset, length: chunkBytes });
    const read = await this.#flow.readObjects(objects, { ...this.#readOptions(options), ranges });
    using batch = settleBatch(read, rowsOf([path], new Map(), read.failures), 'raise');
    return batch.copy(0);
  }

  #readOptions(options: CallOptions): { timeoutMs: number; signal?: AbortSignal } {
    const timeoutMs = this.#timeoutMs(options);
    return options.signal ? { timeoutMs, signal: options.signal } : { timeoutMs };
  }

  #timeoutMs(options: CallOptions): number {
    return (options.timeoutSeconds ?? this.#timeoutSeconds) * 1000;
  }
}

function isChanged(error: unknown): boolean {
  return error instanceof MillpoolError && error.code === 'source-changed';
}

function infoOf(entry: Entry): Info {
  return {
    path: entry.path,
    name: entry.path === '/' ? '/' : nameOf(entry.path),
    type: entry.type,
    size: entry.size,
    mtime: entry.mtimeMs === null ? null : new Date(entry.mtimeMs),
    etag: etagOf(entry.tag),
    identity: isWeak(entry.tag) ? 'weak' : 'strong',
  };
}

/** The rows of a read of paths: those that never became objects have no place in it. */
function rowsOf(
  paths: readonly string[],
  unresolved: ReadonlyMap<number, MillpoolError>,
  failed: ReadonlyMap<number, MillpoolError>,
): BatchRows {
  const places = new Int32Array(paths.length).fill(-1);
  const errors = new Map(unresolved);
  let next = 0;
  paths.forEach((_, i) => {
    if (unresolved.has(i)) return;
    const error = failed.get(next);
    if (error !== undefined) errors.set(i, error);
    places[i] = next++;
  });
  return { indices: Float64Array.from(paths.keys()), places, pathOf: (index) => paths[index] ?? '', errors };
}

/** The same part of each object, cut at its end. */
function rangesOf(objects: Uint8Array, { offset, length }: Part): Ranges {
  if (!Number.isSafeInteger(offset) || offset < 0 || !Number.isSafeInteger(length) || length < 0) {
    throw new MillpoolError({
      code: 'invalid',
      message: `The range of ${length} bytes from ${offset} is none.`,
      remedy: 'Give whole numbers of 0 or more.',
    });
  }
  const sizes = unpackObjects(objects).map(({ size }) => size);
  const offsets = Float64Array.from(sizes, (size) => Math.min(offset, size));
  return { offsets, lengths: Float64Array.from(sizes, (size) => Math.min(length, Math.max(0, size - offset))) };
}

function missing(path: string): ConstructorParameters<typeof MillpoolError>[0] {
  return { code: 'internal', message: `The daemon did not answer for ${path}.`, remedy: 'Please report it.', path };
}
