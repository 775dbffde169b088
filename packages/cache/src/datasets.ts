import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

import type { Clock } from '@millpool/host';
import { DatasetFile, identityHash } from '@millpool/native';
import type { Metadata } from '@millpool/metadata';
import { asMillpoolError, isBelow, MillpoolError } from '@millpool/protocol';
import type {
  DatasetDescription,
  DatasetDiffReply,
  DatasetDiffRequest,
  DatasetListReply,
  DatasetListRequest,
  DatasetReply,
  DatasetRequest,
  ErrorShape,
  SnapshotProgress,
} from '@millpool/protocol';

import { Snapshot } from './snapshot.ts';

const suffix = '.dataset';
const versionFile = /^[0-9a-f]{64}\.dataset$/;
/** Of files that have no version yet, and of the writer's own half-made ones. */
const unfinished = ['.made', '.making'];

/** The dataset versions of this node: one immutable file each, named by its hash. */
export class Datasets {
  readonly #directory: string;
  readonly #metadata: Metadata;
  readonly #clock: Clock;
  readonly #opened = new Map<string, DatasetFile>();
  readonly #making = new Set<Snapshot>();
  #count = 0;

  private constructor(directory: string, metadata: Metadata, clock: Clock) {
    this.#directory = directory;
    this.#metadata = metadata;
    this.#clock = clock;
  }

  /** Makes the directory, and removes what a killed daemon left half-made there. */
  static async at(directory: string, metadata: Metadata, clock: Clock): Promise<Datasets> {
    await mkdir(directory, { recursive: true });
    for (const name of await readdir(directory)) {
      if (unfinished.some((ending) => name.endsWith(ending))) await rm(join(directory, name), { force: true });
    }
    return new Datasets(directory, metadata, clock);
  }

  /** A version made before, checked to be of this path; or one of what is below the path now. */
  async snapshot(request: DatasetRequest, signal: AbortSignal): Promise<DatasetReply> {
    const { path, version } = request;
    if (version === null) return this.#make(request, signal);
    const file = this.open(version);
    if (file.root === path && file.identity === identityHash(this.#attachmentOf(path).identity)) {
      return { version, count: file.length, bytes: file.bytes };
    }
    // The same content elsewhere has the same version: the file is then of whichever was asked for last.
    const made = await this.#make(request, signal);
    if (made.version === version) return made;
    throw new MillpoolError({
      code: 'invalid',
      message: `Dataset version ${version} is of ${file.root}, and ${path} has other content.`,
      remedy: 'Ask for it by its own path.',
      path,
    });
  }

  /** Those that are being made, in the order in which they began. */
  get making(): readonly SnapshotProgress[] {
    return [...this.#making].map(({ progress }) => progress);
  }

  /** Throws `not-found` for a version that is not here. */
  open(version: string): DatasetFile {
    const opened = this.#opened.get(version) ?? openVersion(join(this.#directory, version + suffix), version);
    this.#opened.set(version, opened);
    return opened;
  }

  /** A page of what is here, by the headers of the files. */
  async list({ after, limit }: DatasetListRequest): Promise<DatasetListReply> {
    const here = (await readdir(this.#directory))
      .filter((name) => versionFile.test(name))
      .map((name) => name.slice(0, -suffix.length))
      .filter((version) => after === null || version > after)
      .toSorted();
    const page = here.slice(0, limit);
    const datasets: DatasetDescription[] = [];
    const failures: ErrorShape[] = [];
    for (const version of page) {
      const file = join(this.#directory, version + suffix);
      try {
        const { root: path, count, bytes } = await DatasetFile.describe(file);
        datasets.push({ version, path, count, bytes, madeAt: (await stat(file)).mtime.toISOString() });
      } catch (error) {
        failures.push({ ...asMillpoolError(error).shape, path: file });
      }
    }
    return { datasets, failures, next: here.length > limit ? (page.at(-1) ?? null) : null };
  }

  async diff({ before, after, place, limit }: DatasetDiffRequest): Promise<DatasetDiffReply> {
    return this.open(before).diff(this.open(after), place ?? { before: 0, after: 0 }, limit);
  }

  /** Loaders that have it keep it; nobody else finds it again. */
  async free(version: string): Promise<{ version: string }> {
    this.#opened.delete(version);
    try {
      await rm(join(this.#directory, version + suffix));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw notHere(version, error);
      throw error;
    }
    return { version };
  }

  async #make(request: DatasetRequest, signal: AbortSignal): Promise<DatasetReply> {
    const { path: root } = request;
    const file = join(this.#directory, `${process.pid}-${++this.#count}.made`);
    const config = { file, root, identity: this.#attachmentOf(root).identity };
    const snapshot = new Snapshot(request, { metadata: this.#metadata, clock: this.#clock });
    this.#making.add(snapshot);
    try {
      const made = await snapshot.make(config, (version) => join(this.#directory, version + suffix), signal);
      this.#opened.delete(made.version);
      return made;
    } finally {
      this.#making.delete(snapshot);
    }
  }

  #attachmentOf(path: string): { readonly identity: string } {
    const attachments = this.#metadata.attachments();
    const found = attachments.find((attachment) => attachment.path === path || isBelow(path, attachment.path));
    if (found !== undefined) return found;
    const inside = attachments.filter((attachment) => isBelow(attachment.path, path));
    throw new MillpoolError(
      inside.length > 0
        ? {
            code: 'invalid',
            message: `${path} lies above what is attached; a dataset lies in one attachment.`,
            remedy: `Make one of ${inside.map((attachment) => attachment.path).join(', ')}.`,
            path,
          }
        : {
            code: 'not-found',
            message: `Nothing is attached at ${path}.`,
            remedy: 'See `millpool attachments`.',
            path,
          },
    );
  }
}

function openVersion(file: string, version: string): DatasetFile {
  try {
    return DatasetFile.open(file);
  } catch (error) {
    if (error instanceof MillpoolError && error.code === 'not-found') throw notHere(version, error);
    throw error;
  }
}

function notHere(version: string, cause: unknown): MillpoolError {
  const remedy = 'See `millpool dataset ls`; `millpool dataset snapshot PATH` makes one of what is there now.';
  return new MillpoolError(
    { code: 'not-found', message: `There is no dataset version ${version} here.`, remedy },
    { cause },
  );
}
