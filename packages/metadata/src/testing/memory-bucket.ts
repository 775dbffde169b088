import { MillpoolError } from '@millpool/protocol';
import type { ErrorCode } from '@millpool/protocol';
import { SourceFiles } from '@millpool/under-storage';
import type { Capabilities, ListPage, ListRequest, SourceFile, UnderStorage } from '@millpool/under-storage';
import type { SourceAddress, SourceCredentials } from '@millpool/protocol';

interface StoredObject {
  readonly size: number;
  readonly mtimeMs: number;
  readonly tag: string;
}

/**
 * A bucket in memory: all that S3 lets a bucket hold (a key beside keys below it, repeated slashes), which no folder
 * can. It passes the contract suite of under-storage. Faults are turned on by the test, and counted.
 */
export class MemoryBucket implements UnderStorage {
  readonly scheme = 's3';
  readonly source: string;
  readonly root: Uint8Array;
  readonly supports: Capabilities = {
    anyBytes: true,
    oddKeys: true,
    fileBesideDirectory: true,
    controlCharacters: true,
    emptyDirectories: false,
  };
  readonly address: SourceAddress;
  /** Requests so far. */
  readonly asked = { lists: 0, stats: 0 };
  /** Pages after this many more fail. */
  failAfterLists = Number.POSITIVE_INFINITY;
  /** Each LIST waits for it. */
  gate: Promise<void> = Promise.resolve();
  /** By key, each byte one character. */
  readonly #objects = new Map<string, StoredObject>();
  #sorted: string[] | null = null;
  #version = 0;
  #closed = false;

  constructor(prefix = '') {
    this.source = `s3://memory/${prefix}`.replace(/\/$/, '');
    this.root = Buffer.from(prefix);
    const place = { endpoint: 'memory:', region: 'none', bucket: 'memory' };
    this.address = { kind: 's3', ...place, pathStyle: true, anonymous: true, requesterPays: false, authorityFiles: [] };
  }

  put(key: string | Uint8Array, size: number): void {
    const text = Buffer.from(key as string).toString('latin1');
    this.#version += 1;
    this.#objects.set(text, { size, mtimeMs: 1_000 * this.#version, tag: `"${this.#version}"` });
    this.#sorted = null;
  }

  delete(key: string): void {
    this.#objects.delete(Buffer.from(key).toString('latin1'));
    this.#sorted = null;
  }

  replaceWith(other: MemoryBucket): void {
    this.#objects.clear();
    for (const [key, object] of other.#objects) this.#objects.set(key, object);
    this.#sorted = null;
  }

  /** As `openUnderStorage` would: a bucket that was closed is asked again. */
  opened(): this {
    this.#closed = false;
    return this;
  }

  identity(): string {
    return 's3\0memory:\0memory';
  }

  async list(request: ListRequest): Promise<ListPage> {
    this.asked.lists += 1;
    this.#check(request.signal);
    const prefix = latin1(request.prefix);
    const isListable = (prefix === '' || prefix.endsWith('/')) && prefix.startsWith(latin1(this.root));
    if (!isListable || !Number.isSafeInteger(request.limit) || request.limit < 1) throw fault('invalid');
    await this.gate;
    this.failAfterLists -= 1;
    if (this.failAfterLists < 0) throw fault('source-unavailable');
    return this.#page(request, prefix);
  }

  async stat(key: Uint8Array, signal: AbortSignal): Promise<SourceFile | null> {
    this.asked.stats += 1;
    this.#check(signal);
    const object = this.#objects.get(latin1(key));
    return object === undefined || latin1(key).endsWith('/') ? null : { key, ...object };
  }

  async credentials(): Promise<SourceCredentials | null> {
    return null;
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  #page({ recursive, after, limit }: ListRequest, prefix: string): ListPage {
    const files: SourceFile[] = [];
    const directories: Uint8Array[] = [];
    let last = after === null ? '' : latin1(after);
    const keys = this.#keys();
    for (let at = firstFrom(keys, prefix > last ? prefix : last); at < keys.length; at += 1) {
      const key = keys[at] as string;
      if (!key.startsWith(prefix)) break;
      const slash = recursive ? -1 : nameEnd(key, prefix.length);
      const item = slash === -1 ? key : key.slice(0, slash + 1);
      if (item <= last || (item === key && key.endsWith('/'))) continue;
      if (files.length + directories.length === limit)
        return { files: SourceFiles.of(files), directories, skipped: [], next: bytesOf(last) };
      last = item;
      if (slash === -1) files.push({ key: bytesOf(key), ...(this.#objects.get(key) as StoredObject) });
      else directories.push(bytesOf(item));
    }
    return { files: SourceFiles.of(files), directories, skipped: [], next: null };
  }

  #keys(): readonly string[] {
    this.#sorted ??= [...this.#objects.keys()].sort();
    return this.#sorted;
  }

  #check(signal: AbortSignal): void {
    if (this.#closed) throw fault('closed');
    if (signal.aborted) throw fault('cancelled');
  }
}

/** Of a directory's name: the slash after it, -1 for a file's. Slashes that begin a name belong to it. */
function nameEnd(key: string, start: number): number {
  let at = start;
  while (key[at] === '/') at += 1;
  return key.indexOf('/', at);
}

function firstFrom(keys: readonly string[], key: string): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((keys[middle] as string) < key) low = middle + 1;
    else high = middle;
  }
  return low;
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1');
}

function bytesOf(text: string): Uint8Array {
  return Buffer.from(text, 'latin1');
}

function fault(code: ErrorCode): MillpoolError {
  return new MillpoolError({ code, message: `the bucket in memory was told to be ${code}`, remedy: '' });
}
