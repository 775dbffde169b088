import { setMaxListeners } from 'node:events';

import type { Clock, Log, Timer } from '@millpool/host';
import { asMillpoolError, joinPath, MillpoolError, pathOfKey } from '@millpool/protocol';
import type { Attachment, ErrorShape, S3Settings } from '@millpool/protocol';
import { parseSource, rootGone } from '@millpool/under-storage';
import type { UnderStorage } from '@millpool/under-storage';

import { directoryAt } from './directory.ts';
import type { Directory } from './directory.ts';

export type OpenUnderStorage = (source: string, settings: S3Settings | null) => Promise<UnderStorage>;

interface Parts {
  readonly open: OpenUnderStorage;
  readonly clock: Clock;
  readonly log: Log;
  /** The source can be reached again after it could not. */
  readonly onOpened: () => void;
}

const retryMsMin = 1_000;
const retryMsMax = 30_000;

/**
 * An attachment and the way to its source. A source that cannot be reached is tried again, later and later up to every
 * 30 s and at each use in between that comes after the last attempt's wait; until then the error is what its users get.
 */
export class Attached {
  readonly attachment: Attachment;
  readonly #parts: Parts;
  /** What all keys of the source begin with; known also while it cannot be reached. */
  readonly #root: Uint8Array;
  /** Empty directories are shown by the listing above them alone, and a LIST is a local call. */
  readonly isFolder: boolean;
  readonly #ended = new AbortController();
  #storage: UnderStorage | null = null;
  #opening: Promise<UnderStorage> | null = null;
  #error: MillpoolError | null = null;
  #retry: Timer | null = null;
  #retryMs = retryMsMin;

  constructor(attachment: Attachment, parts: Parts, storage: UnderStorage | null) {
    this.attachment = attachment;
    this.#parts = parts;
    this.#storage = storage;
    setMaxListeners(0, this.#ended.signal);
    const uri = parseSource(attachment.source);
    this.isFolder = uri.scheme === 'local';
    this.#root = Buffer.from(uri.scheme === 's3' ? uri.prefix : '');
  }

  /** The directory at a path that is the attachment's or below it. */
  directory(path: string, shards: number): Directory {
    const { id, path: attachedAt } = this.attachment;
    return directoryAt({ attachment: id, attachedAt, root: this.#root }, path, shards);
  }

  /** The path of the directory whose source keys begin so. */
  pathOf(prefix: Uint8Array): string {
    const { path } = this.attachment;
    return prefix.length === this.#root.length
      ? path
      : joinPath(path, pathOfKey(prefix.subarray(this.#root.length, -1)));
  }

  /** Aborts when it is detached or the service stops. */
  get signal(): AbortSignal {
    return this.#ended.signal;
  }

  /** Why the source cannot be reached; null when it can, or was not tried yet. */
  get error(): ErrorShape | null {
    return this.#error?.shape ?? null;
  }

  /** The opened source, or the error of the last attempt while the next is not due. */
  async storage(): Promise<UnderStorage> {
    if (this.#storage !== null) return this.#storage;
    this.#ended.signal.throwIfAborted();
    if (this.#retry !== null && this.#error !== null) throw this.#error;
    this.#opening ??= this.#open().finally(() => {
      this.#opening = null;
    });
    return this.#opening;
  }

  async end(reason: MillpoolError): Promise<void> {
    this.#ended.abort(reason);
    this.#retry?.cancel();
    await this.#storage?.close();
  }

  async #open(): Promise<UnderStorage> {
    const { source, s3, path } = this.attachment;
    try {
      const storage = await this.#parts.open(source, s3);
      await this.#keep(storage);
      return storage;
    } catch (thrown) {
      this.#error = asMillpoolError(rootGone(thrown, source));
      this.#parts.log.warn('source cannot be reached', { path, source, error: this.#error });
      this.#retryLater();
      throw this.#error;
    }
  }

  async #keep(storage: UnderStorage): Promise<void> {
    if (this.#ended.signal.aborted) {
      await storage.close();
      this.#ended.signal.throwIfAborted();
    }
    if (storage.identity() !== this.attachment.identity) {
      await storage.close();
      throw notTheSame(this.attachment);
    }
    this.#storage = storage;
    this.#error = null;
    this.#retryMs = retryMsMin;
    this.#parts.onOpened();
  }

  #retryLater(): void {
    if (this.#ended.signal.aborted) return;
    this.#retry = this.#parts.clock.after(this.#retryMs, () => {
      this.#retry = null;
      this.storage().catch(() => {});
    });
    this.#retryMs = Math.min(2 * this.#retryMs, retryMsMax);
  }
}

function notTheSame({ path, source }: Attachment): MillpoolError {
  return new MillpoolError({
    code: 'source-unavailable',
    message: `${source} is not the same storage that was attached at ${path}`,
    remedy: `Mount or restore the former one, or \`millpool detach ${path}\` and attach it again.`,
    path,
  });
}
