import { lstat, readdir, readFile, realpath, rmdir, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

import { isBelow, MillpoolError } from '@millpool/protocol';
import type { ErrorShape } from '@millpool/protocol';
import { isStaleSocket } from '@millpool/transport';

import { logOfDetached } from './detached.ts';
import { lockName } from './directory-lock.ts';
import type { NodeConfig } from './node-config.ts';
import { controlSocketOf } from './sockets.ts';

/** What Millpool makes in a directory, by name; what has another name is somebody else's. */
interface Layout {
  readonly files: RegExp;
  readonly directories: Readonly<Record<string, Layout>>;
}

const only = (files: RegExp): Layout => ({ files, directories: {} });
const segments = only(/^[0-9a-f]{32}\.(open|seg)$/);

/** As `startNode` deals it to its parts. */
const stateLayout: Layout = {
  files: /^$/,
  directories: {
    coordination: only(/^coordination\.mdb(-lock)?$/),
    metadata: only(/^namespace\.mdb(\.set-aside-\d+)?(-lock)?$/),
    datasets: only(/^([0-9a-f]{64}\.dataset|\d+-\d+\.(made|making|entries))$/),
    loads: only(/^\d+\.failures$/),
  },
};

/** docs/formats.md, Data directory. The state lies in the first one by default. */
const dataLayout: Layout = {
  files: /^(lock|table\.(image|new)|directories(\.new)?)$/,
  directories: { segments, aside: segments, state: stateLayout },
};

/** As `lockName`, known to be ours by it, so it goes last: what could not be removed is then found again. */
const stateMark = join('coordination', 'coordination.mdb');

export type Places = Pick<NodeConfig, 'dataDirectories' | 'stateDirectory' | 'socket'>;

export interface OwnPath {
  readonly path: string;
  readonly bytes: number;
  /** A place is a directory that the settings name: somebody else may have made it. */
  readonly kind: 'file' | 'directory' | 'place';
  /** The directory that is known by this file; else null. */
  readonly markOf: string | null;
}

/** What Millpool made in the places of a node. Symlinks are not followed below them. */
export class OwnFiles {
  readonly #paths = new Map<string, OwnPath>();
  readonly #foreign = new Set<string>();
  readonly #marks: ReadonlyMap<string, string>;
  readonly #sources: readonly string[];
  /** What could not be looked into, or not be removed. */
  readonly failures: ErrorShape[] = [];

  private constructor(marks: ReadonlyMap<string, string>, sources: readonly string[]) {
    this.#marks = marks;
    this.#sources = sources;
  }

  /**
   * `dataDirectories` are those that are ours. `sources`: folders, by their real paths, that stay also when they are
   * empty. `exists` where somebody listens on a socket.
   */
  static async find(
    { dataDirectories, stateDirectory, socket }: Places,
    sources: readonly string[],
  ): Promise<OwnFiles> {
    const marks = new Map(dataDirectories.map((directory) => [join(directory, lockName), directory]));
    marks.set(join(stateDirectory, stateMark), stateDirectory);
    const own = new OwnFiles(marks, sources);
    const isState = await own.#isFile(join(stateDirectory, stateMark), stateDirectory);
    for (const path of [socket, controlSocketOf(socket)]) if (await isStaleSocket(path)) await own.#addFile(path);
    const log = logOfDetached(socket);
    if (await own.#isFile(log, log)) await own.#addFile(log);
    if (isState) await own.#scan(stateDirectory, stateLayout);
    for (const directory of dataDirectories) await own.#scan(directory, dataLayout);
    const places = [...dataDirectories, ...(isState ? [stateDirectory] : []), dirname(socket)];
    for (const place of places.toSorted().toReversed()) await own.#addPlace(place);
    return own;
  }

  /** In the order in which they can be removed. */
  get paths(): readonly OwnPath[] {
    const all = [...this.#paths.values()];
    const files = all.filter(({ kind }) => kind === 'file');
    const directories = all.filter(({ kind }) => kind !== 'file');
    return [
      ...files.filter(({ markOf }) => markOf === null),
      ...files.filter(({ markOf }) => markOf !== null),
      ...directories.toSorted((left, right) => (left.path < right.path ? 1 : -1)),
    ];
  }

  /** What lies among our files and is not ours: it stays. */
  get foreign(): readonly string[] {
    return [...this.#foreign].filter((path) => !this.#paths.has(path)).toSorted();
  }

  /** False where it stays. */
  async remove({ path, kind, markOf }: OwnPath): Promise<boolean> {
    if (markOf !== null && this.failures.some((failure) => isBelow(failure.path ?? '', markOf))) return false;
    try {
      await (kind === 'file' ? unlink(path) : rmdir(path));
      return true;
    } catch (thrown) {
      const { code = '' } = thrown as NodeJS.ErrnoException;
      const isInUse = kind !== 'file' && (code === 'ENOTEMPTY' || code === 'EEXIST');
      // A mount point, or one whose directory is closed to us: then it was not we who made it.
      const isOthers = kind === 'place' && ['EBUSY', 'EACCES', 'EPERM', 'EROFS'].includes(code);
      if (code !== 'ENOENT' && !isInUse && !isOthers) this.#fail(path, thrown);
      return false;
    }
  }

  async #scan(directory: string, layout: Layout): Promise<void> {
    const entries = await readdir(directory, { withFileTypes: true }).catch((thrown: unknown) => {
      this.#fail(directory, thrown);
      return null;
    });
    if (entries === null) return;
    let staying = 0;
    for (const entry of entries) {
      const path = join(directory, entry.name);
      const below = entry.isDirectory() ? layout.directories[entry.name] : undefined;
      if (below !== undefined) await this.#scan(path, below);
      else if (entry.isFile() && layout.files.test(entry.name)) await this.#addFile(path);
      else this.#foreign.add(path);
      if (!this.#paths.has(path)) staying += 1;
    }
    if (staying === 0) this.#paths.set(directory, { path: directory, bytes: 0, kind: 'directory', markOf: null });
  }

  /** False also where it cannot be told, which is a failure of `failing`. */
  async #isFile(path: string, failing: string): Promise<boolean> {
    try {
      return (await lstatOf(path))?.isFile() === true;
    } catch (thrown) {
      this.#fail(failing, thrown);
      return false;
    }
  }

  async #addFile(path: string): Promise<void> {
    const bytes = (await lstatOf(path))?.size ?? 0;
    this.#paths.set(path, { path, bytes, kind: 'file', markOf: this.#marks.get(path) ?? null });
  }

  /** Where nothing else is in it; with the `millpool` above it, as the default places have it. */
  async #addPlace(directory: string): Promise<void> {
    this.#paths.delete(directory);
    const real = await realpath(directory).catch(() => directory);
    if ((await lstatOf(directory))?.isDirectory() !== true) return;
    if (this.#sources.some((source) => source === real || isBelow(real, source))) return;
    const names = await readdir(directory).catch(() => null);
    if (names === null || names.some((name) => !this.#paths.has(join(directory, name)))) return;
    this.#paths.set(directory, { path: directory, bytes: 0, kind: 'place', markOf: null });
    if (basename(dirname(directory)) === 'millpool') await this.#addPlace(dirname(directory));
  }

  #fail(path: string, thrown: unknown): void {
    if (this.failures.some((failure) => failure.path === path)) return;
    const { code, message } = thrown as NodeJS.ErrnoException;
    const isRefused = code === 'EACCES' || code === 'EPERM';
    this.failures.push({
      code: isRefused ? 'refused' : 'io',
      message: `${path} could not be removed: ${isRefused ? 'permission denied' : message}.`,
      remedy: 'Run as the user who started the daemon, and see whether its file system can be written to.',
      path,
    });
  }
}

/**
 * Whether it is a data directory of ours, by its lock and its segments; false where there is none, or an empty one.
 * `invalid` for one that holds other things.
 */
export async function isDataDirectory(directory: string): Promise<boolean> {
  const path = directory;
  try {
    if ((await readdir(directory)).length === 0) return false;
    const [lock, segmentsHere] = [await lstatOf(join(directory, lockName)), await lstatOf(join(directory, 'segments'))];
    const isLock = lock?.isFile() === true && lock.size < 32;
    const holder = isLock ? await readFile(join(directory, lockName), 'utf8') : null;
    if (holder !== null && /^\d*\n?$/.test(holder) && segmentsHere?.isDirectory() === true) return true;
  } catch (thrown) {
    const { code, message } = thrown as NodeJS.ErrnoException;
    if (code === 'ENOENT') return false;
    const fault = { message: `${directory} cannot be looked into: ${message}`, path };
    const remedy = 'Run as the user who started the daemon.';
    throw new MillpoolError({ ...fault, code: code === 'EACCES' ? 'refused' : 'io', remedy }, { cause: thrown });
  }
  throw new MillpoolError({
    code: 'invalid',
    message: `${directory} is no data directory of Millpool: a lock and segments of ours are not in it.`,
    remedy: 'Name the one that the daemon had, with --data or MILLPOOL_DATA.',
    path,
  });
}

/** Null where there is nothing. */
async function lstatOf(path: string) {
  return lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return null;
    throw error;
  });
}
