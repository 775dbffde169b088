import type { BigIntStats } from 'node:fs';
import { realpath, stat } from 'node:fs/promises';

import { systemClock, withDeadline } from '@millpool/host';
import type { Wait } from '@millpool/host';
import { MillpoolError } from '@millpool/protocol';

import { checkListRequest, shown } from '../key.ts';
import { rootGone } from '../root-gone.ts';
import { SourceFiles } from '../source-files.ts';
import type { SourceFile } from '../source-files.ts';
import type { Capabilities, ListPage, ListRequest, UnderStorage } from '../under-storage.ts';
import type { SourceAddress, SourceCredentials } from '@millpool/protocol';
import { errnoOf, fileError } from './file-error.ts';
import { byteString, Folder } from './folder.ts';
import { SuspendedWalks } from './suspended-walks.ts';
import { Walk } from './walk.ts';

/**
 * A folder of this machine, so also one that NFS, CephFS or Lustre mounted. It must stay on the device that it was
 * opened on: an unmounted folder is an error, not an empty one.
 */
export class LocalStorage implements UnderStorage {
  readonly scheme = 'local';
  readonly source: string;
  readonly root = new Uint8Array();
  readonly supports: Capabilities = Object.freeze({
    anyBytes: true,
    oddKeys: false,
    fileBesideDirectory: false,
    controlCharacters: true,
    emptyDirectories: true,
  });
  readonly address: SourceAddress;
  readonly #folder: Folder;
  readonly #device: bigint;
  readonly #timeoutMs: number;
  readonly #walks = new SuspendedWalks();
  #closed = false;

  private constructor(realPath: string, device: bigint, timeoutMs: number) {
    this.source = realPath;
    this.address = { kind: 'folder', root: realPath };
    this.#folder = new Folder(new TextEncoder().encode(realPath));
    this.#device = device;
    this.#timeoutMs = timeoutMs;
  }

  /** `not-found`, `invalid` (no folder), `refused`. */
  static async open(folder: string, timeoutMs: number): Promise<LocalStorage> {
    return withDeadline({ name: `the folder ${folder}`, timeoutMs, clock: systemClock }, async () => {
      const real = await realPathOf(folder);
      return new LocalStorage(real, (await folderStats(real)).dev, timeoutMs);
    });
  }

  identity(): string {
    return `local\0${this.#device}\0${this.source}`;
  }

  async list(request: ListRequest): Promise<ListPage> {
    this.#checkOpen();
    checkListRequest(request, this.root);
    const wait = this.#waitFor(`the listing of ${shown(request.prefix)} in ${this.source}`, request.signal);
    return withDeadline(wait, (signal) => this.#page(request, signal));
  }

  async stat(key: Uint8Array, signal: AbortSignal): Promise<SourceFile | null> {
    this.#checkOpen();
    const name = byteString(key);
    if (!isPlainKey(name)) return null;
    return withDeadline(this.#waitFor(`the look-up of ${shown(key)} in ${this.source}`, signal), async () => {
      const file = await this.#folder.find(name);
      if (file === null) await this.#checkPresent();
      return file;
    });
  }

  async credentials(): Promise<SourceCredentials | null> {
    return null;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#walks.clear();
  }

  async #page(request: ListRequest, signal: AbortSignal): Promise<ListPage> {
    const prefix = byteString(request.prefix);
    const after = request.after === null ? null : byteString(request.after);
    const where = { prefix, recursive: request.recursive, after };
    const isListable = prefix === '' || isPlainKey(prefix.slice(0, -1));
    if (!isListable) return { files: SourceFiles.of([]), directories: [], skipped: [], next: null };
    const walk = this.#walks.take(where) ?? (await Walk.start(this.#folder, where));
    const page = await walk.page(request.limit, signal);
    await this.#checkPresent();
    if (page.next !== null) this.#walks.keep({ ...where, after: byteString(page.next) }, walk);
    return page;
  }

  /** What is missing below a folder says nothing once the folder itself is gone or its device was unmounted. */
  async #checkPresent(): Promise<void> {
    const { dev } = await folderStats(this.source).catch((thrown: unknown) => {
      throw rootGone(thrown, this.source);
    });
    if (dev === this.#device) return;
    throw new MillpoolError({
      code: 'source-unavailable',
      message: `the folder ${this.source} is on another device than when it was attached`,
      remedy: 'Mount its file system again, or detach and attach it.',
    });
  }

  #waitFor(name: string, signal: AbortSignal): Wait {
    return { name, timeoutMs: this.#timeoutMs, clock: systemClock, signal };
  }

  #checkOpen(): void {
    if (!this.#closed) return;
    throw new MillpoolError({ code: 'closed', message: `the folder ${this.source} was detached`, remedy: '' });
  }
}

/** A key that a folder can hold: no empty name, no `.` and `..`, no NUL. */
function isPlainKey(key: string): boolean {
  return !key.includes('\0') && key.split('/').every((name) => name !== '' && name !== '.' && name !== '..');
}

async function realPathOf(folder: string): Promise<string> {
  const path = new TextEncoder().encode(folder);
  try {
    const real = await realpath(folder, { encoding: 'buffer' });
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(real);
  } catch (thrown) {
    if (thrown instanceof TypeError) {
      throw new MillpoolError({
        code: 'unsupported',
        message: `the real path of ${folder} is not UTF-8`,
        remedy: 'Rename the folders above the data; the names below may be any bytes.',
      });
    }
    throw errnoOf(thrown) === 'ENOENT' ? noFolder(folder) : fileError(path, thrown);
  }
}

async function folderStats(folder: string): Promise<BigIntStats> {
  let stats: BigIntStats;
  try {
    stats = await stat(folder, { bigint: true });
  } catch (thrown) {
    throw errnoOf(thrown) === 'ENOENT' ? noFolder(folder) : fileError(new TextEncoder().encode(folder), thrown);
  }
  if (stats.isDirectory()) return stats;
  const message = `${folder} is not a folder`;
  throw new MillpoolError({ code: 'invalid', message, remedy: 'Give the folder that the files are in.' });
}

function noFolder(folder: string): MillpoolError {
  const remedy = 'Check the path, and that its file system is mounted.';
  return new MillpoolError({ code: 'not-found', message: `there is no folder ${folder}`, remedy });
}
