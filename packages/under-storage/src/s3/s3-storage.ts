import { Buffer } from 'node:buffer';

import { systemClock, withDeadline } from '@millpool/host';
import { MillpoolError } from '@millpool/protocol';
import type { S3Settings } from '@millpool/protocol';

import { checkListRequest, startsWith } from '../key.ts';
import { rootGone } from '../root-gone.ts';
import type { SourceUri } from '../source-uri.ts';
import type { SourceFile } from '../source-files.ts';
import type { Capabilities, ListPage, ListRequest, Patience, UnderStorage } from '../under-storage.ts';
import type { SourceAddress, SourceCredentials } from '@millpool/protocol';
import { awsSettings } from './aws-settings.ts';
import { Bucket } from './bucket.ts';
import { Listing } from './listing.ts';
import { openBucket } from './open-bucket.ts';
import { S3RequestError } from './s3-error.ts';

const keyBytesMax = 1024;

/**
 * A bucket of anything that speaks S3, or what lies below a prefix of one. Only asks LIST and HEAD; the native side
 * reads. A bucket with a policy of its own per prefix must allow LIST of the attached one.
 */
export class S3Storage implements UnderStorage {
  readonly scheme = 's3';
  readonly source: string;
  readonly root: Uint8Array;
  readonly supports: Capabilities = Object.freeze({
    anyBytes: false,
    oddKeys: true,
    fileBesideDirectory: true,
    controlCharacters: true,
    emptyDirectories: false,
  });
  readonly address: SourceAddress;
  readonly #bucket: Bucket;
  readonly #timeoutMs: number;
  readonly #calls = new Set<AbortController>();
  #closed: MillpoolError | null = null;

  private constructor(bucket: Bucket, prefix: string, timeoutMs: number) {
    this.source = `s3://${bucket.address.bucket}/${prefix}`.replace(/\/$/, '');
    this.root = Buffer.from(prefix);
    this.address = bucket.address;
    this.#bucket = bucket;
    this.#timeoutMs = timeoutMs;
  }

  /**
   * `not-found` (bucket, or nothing below the prefix), `refused`, `invalid` (region, settings), `source-unavailable`.
   */
  static async open(
    uri: Extract<SourceUri, { scheme: 's3' }>,
    settings: S3Settings,
    { requestMs: timeoutMs, credentialsMs }: Patience,
  ): Promise<S3Storage> {
    const wait = { name: `the bucket s3://${uri.bucket}`, timeoutMs, clock: systemClock };
    return withDeadline(wait, async (signal) => {
      const bucketSettings = { ...(await awsSettings(settings, process.env)), credentialsMs };
      const found = await openBucket(uri, bucketSettings, signal);
      return new S3Storage(found, uri.prefix, timeoutMs);
    });
  }

  identity(): string {
    return `s3\0${this.#bucket.address.endpoint}\0${this.#bucket.address.bucket}`;
  }

  async list(request: ListRequest): Promise<ListPage> {
    checkListRequest(request, this.root);
    const prefix = Buffer.from(request.prefix);
    const after = request.after === null ? null : Buffer.from(request.after);
    return this.#within(`the LIST of ${this.source}`, request.signal, (signal) => {
      const listing = new Listing(this.#bucket, signal);
      const level = { prefix, after, limit: request.limit };
      return request.recursive ? listing.flat(level) : listing.directory(level);
    });
  }

  async stat(key: Uint8Array, signal: AbortSignal): Promise<SourceFile | null> {
    return this.#within(`the HEAD in ${this.source}`, signal, async (stop) => {
      const name = textOfKey(key);
      return name === null || !startsWith(key, this.root) ? null : this.#find(name, stop);
    });
  }

  async credentials(): Promise<SourceCredentials | null> {
    return this.#bucket.credentials();
  }

  async close(): Promise<void> {
    const message = `${this.source} was detached`;
    this.#closed = new MillpoolError({ code: 'closed', message, remedy: '' });
    for (const call of this.#calls) call.abort(this.#closed);
    this.#bucket.close();
  }

  /**
   * A HEAD has no body that could tell a missing key from a missing bucket, an unknown access key or a missing
   * permission to list; so what it denies is asked once more as a LIST of that key alone.
   */
  async #find(name: string, signal: AbortSignal): Promise<SourceFile | null> {
    try {
      return await this.#bucket.head(name, signal);
    } catch (thrown) {
      if (!(thrown instanceof S3RequestError) || !thrown.isDenial) throw thrown;
    }
    const query = { prefix: name, startAfter: null, delimited: false, keysMax: 1, token: null };
    const { files } = await this.#bucket.list(query, signal);
    return files.find(Buffer.from(name));
  }

  /** As `AbortSignal.any` with a signal for the close, which leaks with every call on Node 20. */
  async #within<T>(name: string, signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    if (this.#closed !== null) throw this.#closed;
    const call = new AbortController();
    this.#calls.add(call);
    const onAbort = (): void => call.abort(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      return await withDeadline({ name, timeoutMs: this.#timeoutMs, clock: systemClock, signal: call.signal }, work);
    } catch (thrown) {
      throw rootGone(thrown, this.source);
    } finally {
      signal.removeEventListener('abort', onAbort);
      this.#calls.delete(call);
    }
  }
}

/** Null for what no object is called: bytes that are not UTF-8, nothing, too much, or the key of a directory. */
function textOfKey(key: Uint8Array): string | null {
  const text = Buffer.from(key).toString();
  const isName = text !== '' && !text.endsWith('/') && key.length <= keyBytesMax;
  return isName && Buffer.from(text).equals(key) ? text : null;
}
