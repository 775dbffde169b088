import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { DatasetFile, DatasetFileWriter, identityHash } from '@millpool/native';
import type { Metadata, ResolvedEntry } from '@millpool/metadata';
import { isBelow, MillpoolError, pathBelow } from '@millpool/protocol';
import type { DatasetReply, DatasetRequest } from '@millpool/protocol';
import picomatch from 'picomatch';

const suffix = '.dataset';
/** Of files that have no version yet, and of the writer's own half-made ones. */
const unfinished = ['.made', '.making'];

/** The dataset versions of this node: one immutable file each, named by its hash. */
export class Datasets {
  readonly #directory: string;
  readonly #metadata: Metadata;
  readonly #opened = new Map<string, DatasetFile>();
  #count = 0;

  private constructor(directory: string, metadata: Metadata) {
    this.#directory = directory;
    this.#metadata = metadata;
  }

  /** Makes the directory, and removes what a killed daemon left half-made there. */
  static async at(directory: string, metadata: Metadata): Promise<Datasets> {
    await mkdir(directory, { recursive: true });
    for (const name of await readdir(directory)) {
      if (unfinished.some((ending) => name.endsWith(ending))) await rm(join(directory, name), { force: true });
    }
    return new Datasets(directory, metadata);
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

  /** Throws `not-found` for a version that is not here. */
  open(version: string): DatasetFile {
    const opened = this.#opened.get(version) ?? DatasetFile.open(join(this.#directory, version + suffix));
    this.#opened.set(version, opened);
    return opened;
  }

  async #make({ path, include }: DatasetRequest, signal: AbortSignal): Promise<DatasetReply> {
    const file = join(this.#directory, `${process.pid}-${++this.#count}.made`);
    const writer = new DatasetFileWriter({ file, root: path, identity: this.#attachmentOf(path).identity });
    // A name that begins with a dot is a name like any other.
    const wanted = include === null ? () => true : picomatch(include, { dot: true });
    try {
      for await (const page of this.#metadata.walk(path, signal)) writer.push(rowsOf(page, path, wanted));
      const made = await writer.finish();
      await rename(file, join(this.#directory, made.version + suffix));
      this.#opened.delete(made.version);
      return made;
    } catch (error) {
      writer.abandon();
      await rm(file, { force: true });
      throw error;
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
            message: `${path} spans ${inside.length} attachments; a dataset lies in one.`,
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

type Row = Parameters<DatasetFileWriter['push']>[0][number];

function rowsOf(page: readonly ResolvedEntry[], root: string, wanted: (path: string) => boolean): readonly Row[] {
  return page.flatMap(({ type, path, sourceKey, size, tag }) => {
    const below = type === 'file' ? pathBelow(path, root) : null;
    return below !== null && wanted(below) ? [{ path: below, sourceKey, size, tag }] : [];
  });
}
