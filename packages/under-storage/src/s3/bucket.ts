import { Buffer } from 'node:buffer';

import { HeadBucketCommand, HeadObjectCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import type { ListObjectsV2CommandOutput, S3Client } from '@aws-sdk/client-s3';

import type { Credentials, SourceFile } from '../under-storage.ts';
import type { AwsSettings } from './aws-settings.ts';
import { nativeBucket, s3Client } from './client.ts';
import type { NativeBucket } from './client.ts';
import { currentCredentials } from './credentials.ts';
import { brokenAnswer, failureOf, S3RequestError } from './s3-error.ts';
import { versionTag } from './version-tag.ts';

export interface ListQuery {
  readonly prefix: string;
  readonly startAfter: string | null;
  /** What follows the next `/` is rolled up into prefixes. */
  readonly delimited: boolean;
  readonly keysMax: number;
  readonly token: string | null;
}

/** The requests that are made of one bucket. They fail with `S3RequestError`. */
export class Bucket {
  readonly native: NativeBucket;
  readonly #client: S3Client;
  readonly #anonymous: boolean;
  /** Every request says that we pay, or none does. */
  readonly #payer: { readonly RequestPayer?: 'requester' };

  private constructor(client: S3Client, native: NativeBucket) {
    this.#client = client;
    this.#anonymous = native.anonymous;
    this.#payer = native.requesterPays ? { RequestPayer: 'requester' } : {};
    this.native = native;
  }

  static async in(region: string, name: string, settings: AwsSettings): Promise<Bucket> {
    const client = s3Client(settings, region);
    return new Bucket(client, await nativeBucket(client, name, settings));
  }

  list(query: ListQuery, signal: AbortSignal): Promise<ListObjectsV2CommandOutput> {
    const command = new ListObjectsV2Command({
      Bucket: this.native.bucket,
      Prefix: query.prefix,
      MaxKeys: query.keysMax,
      EncodingType: 'url',
      ...(query.delimited ? { Delimiter: '/' } : {}),
      ...(query.startAfter === null ? {} : { StartAfter: query.startAfter }),
      ...(query.token === null ? {} : { ContinuationToken: query.token }),
      ...this.#payer,
    });
    const doing = `the LIST of s3://${this.native.bucket}/${query.prefix}`;
    return this.#asked(doing, this.#client.send(command, { abortSignal: signal }));
  }

  async head(key: string, signal: AbortSignal): Promise<SourceFile> {
    const command = new HeadObjectCommand({ Bucket: this.native.bucket, Key: key, ...this.#payer });
    const doing = `the HEAD of s3://${this.native.bucket}/${key}`;
    const answer = await this.#asked(doing, this.#client.send(command, { abortSignal: signal }));
    const tag = versionTag(answer.ETag, answer.LastModified);
    if (answer.ContentLength === undefined || tag === null) {
      throw brokenAnswer(this.native, doing, 'gives no size or no version');
    }
    return { key: Buffer.from(key), size: answer.ContentLength, mtimeMs: answer.LastModified?.getTime() ?? 0, tag };
  }

  /** The region that the bucket says it is in; null when it does not. */
  async findRegion(signal: AbortSignal): Promise<string | null> {
    const command = new HeadBucketCommand({ Bucket: this.native.bucket });
    try {
      return (await this.#client.send(command, { abortSignal: signal })).BucketRegion ?? null;
    } catch (thrown) {
      return failureOf(thrown).bucketRegion;
    }
  }

  async credentials(): Promise<Credentials | null> {
    if (this.#anonymous) return null;
    const found = currentCredentials(this.#client.config.credentials);
    return this.#asked(`requests to s3://${this.native.bucket}`, found);
  }

  close(): void {
    this.#client.destroy();
  }

  async #asked<T>(doing: string, answer: Promise<T>): Promise<T> {
    try {
      return await answer;
    } catch (thrown) {
      throw new S3RequestError(failureOf(thrown), this.native, doing);
    }
  }
}
