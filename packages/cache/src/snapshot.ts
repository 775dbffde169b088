import { rename, rm } from 'node:fs/promises';

import { abortError } from '@millpool/host';
import type { Clock } from '@millpool/host';
import { DatasetFileWriter } from '@millpool/native';
import type { DatasetFileConfig, DatasetSummary } from '@millpool/native';
import type { Metadata, ResolvedEntry } from '@millpool/metadata';
import { MillpoolError, pathBelow } from '@millpool/protocol';
import type { DatasetRequest, SnapshotProgress } from '@millpool/protocol';
import picomatch from 'picomatch';

type Row = Parameters<DatasetFileWriter['push']>[0][number];

interface Parts {
  readonly metadata: Metadata;
  readonly clock: Clock;
}

/** One dataset version on its way, a page of files at a time, and how far it is. */
export class Snapshot {
  readonly #request: DatasetRequest;
  readonly #parts: Parts;
  readonly #wanted: (pathBelowRoot: string) => boolean;
  readonly #startMs: number;
  #stage: SnapshotProgress['stage'] = 'listing';
  #listed = 0;
  #isCounted = false;
  #seen = 0;
  #files = 0;
  #bytes = 0;

  constructor(request: DatasetRequest, parts: Parts) {
    const { include } = request;
    this.#request = request;
    this.#parts = parts;
    // A name that begins with a dot is a name like any other.
    this.#wanted = include === null ? () => true : picomatch(include, { dot: true });
    this.#startMs = parts.clock.monotonicMs();
  }

  get progress(): SnapshotProgress {
    const { path, include } = this.#request;
    const isListing = this.#stage === 'listing';
    return {
      path,
      include,
      stage: this.#stage,
      seen: isListing ? this.#listed : this.#seen,
      // Files that come while it is written are no surprise: a total that is passed is none.
      total: isListing || !this.#isCounted || this.#listed < this.#seen ? null : this.#listed,
      files: this.#files,
      bytes: this.#bytes,
      seconds: (this.#parts.clock.monotonicMs() - this.#startMs) / 1_000,
    };
  }

  /** Makes the file, and gives it its place by the version; nothing of it stays where it fails or is cancelled. */
  async make(
    config: DatasetFileConfig,
    placeOf: (version: string) => string,
    signal: AbortSignal,
  ): Promise<DatasetSummary> {
    const writer = new DatasetFileWriter(config);
    try {
      await this.#write(writer, signal);
      const made = await writer.finish();
      if (signal.aborted) throw abortError(signal);
      await rename(config.file, placeOf(made.version));
      return made;
    } catch (error) {
      writer.abandon();
      await rm(config.file, { force: true });
      throw error;
    }
  }

  async #write(writer: DatasetFileWriter, signal: AbortSignal): Promise<void> {
    const { path } = this.#request;
    let isFile = false;
    const onListed = (files: number): void => {
      this.#listed = files;
      this.#isCounted = true;
    };
    for await (const page of this.#parts.metadata.walk(path, signal, onListed)) {
      this.#stage = 'writing';
      this.#seen += page.length;
      const rows = page.flatMap((entry) => this.#rowOf(entry));
      writer.push(rows);
      this.#files += rows.length;
      this.#bytes += rows.reduce((sum, { size }) => sum + size, 0);
      if (page[0]?.path === path) isFile = true;
    }
    if (isFile && this.#seen === 1) throw noDirectory(path);
  }

  /** A bucket can hold keys below the key of a file: then it is a directory too, and the file is not below it. */
  #rowOf({ type, path, sourceKey, size, tag }: ResolvedEntry): readonly Row[] {
    if (type !== 'file' || path === this.#request.path) return [];
    const below = pathBelow(path, this.#request.path);
    return this.#wanted(below) ? [{ path: below, sourceKey, size, tag }] : [];
  }
}

function noDirectory(path: string): MillpoolError {
  return new MillpoolError({
    code: 'invalid',
    message: `${path} is a file; a dataset is of what is below a directory.`,
    remedy: 'Make one of the directory that it is in, with --include for it alone.',
    path,
  });
}
