import { Buffer } from 'node:buffer';

import { HeadBucketCommand, HeadObjectCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import type { S3Client } from '@aws-sdk/client-s3';
import { HttpResponse } from '@smithy/core/transport';

import type { SourceFile } from '../source-files.ts';
import type { SourceCredentials } from '@millpool/protocol';
import type { AwsSettings } from './aws-settings.ts';
import { bucketAddress, s3Client } from './client.ts';
import type { BucketAddress } from './client.ts';
import { ProviderChain } from './credentials.ts';
import { readListAnswer } from './list-answer.ts';
import type { ListAnswer } from './list-answer.ts';
import { listAnswerIn } from './native-list.ts';
import { brokenAnswer, failureOf, S3RequestError } from './s3-error.ts';
import { listOf } from './sdk-list.ts';
import { versionTag } from './version-tag.ts';

/** `credentialsMs`: credentials without an end are asked for again after this. */
export type BucketSettings = AwsSettings & { readonly credentialsMs: number };

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
  readonly address: BucketAddress;
  readonly #client: S3Client;
  /** Null: nothing is signed. */
  readonly #chain: ProviderChain | null;
  /** Every request says that we pay, or none does. */
  readonly #payer: { readonly RequestPayer?: 'requester' };

  private constructor(client: S3Client, address: BucketAddress, chain: ProviderChain | null) {
    this.#client = client;
    this.#chain = chain;
    this.#payer = address.requesterPays ? { RequestPayer: 'requester' } : {};
    this.address = address;
  }

  static async in(region: string, name: string, settings: BucketSettings): Promise<Bucket> {
    const { anonymous, profile, credentialsMs } = settings;
    const chain = anonymous ? null : new ProviderChain(profile, region, credentialsMs);
    const client = s3Client(settings, region, chain);
    return new Bucket(client, await bucketAddress(client, name, settings), chain);
  }

  /** Checked: `source-broken` where the answer makes no sense. */
  async list(query: ListQuery, signal: AbortSignal): Promise<ListAnswer> {
    const prefix = Buffer.from(query.prefix);
    const command = new ListObjectsV2Command({
      Bucket: this.address.bucket,
      Prefix: query.prefix,
      MaxKeys: query.keysMax,
      EncodingType: 'url',
      ...(query.delimited ? { Delimiter: '/' } : {}),
      ...(query.startAfter === null ? {} : { StartAfter: query.startAfter }),
      ...(query.token === null ? {} : { ContinuationToken: query.token }),
      ...this.#payer,
    });
    const doing = `the LIST of s3://${this.address.bucket}/${query.prefix}`;
    const own = readFirst(command, prefix);
    const output = await this.#asked(doing, this.#client.send(command, { abortSignal: signal }));
    return own.answer ?? readListAnswer(listOf(output), prefix, this.address);
  }

  async head(key: string, signal: AbortSignal): Promise<SourceFile> {
    const command = new HeadObjectCommand({ Bucket: this.address.bucket, Key: key, ...this.#payer });
    const doing = `the HEAD of s3://${this.address.bucket}/${key}`;
    const answer = await this.#asked(doing, this.#client.send(command, { abortSignal: signal }));
    const mtimeMs = answer.LastModified?.getTime() ?? null;
    const tag = versionTag(answer.ETag, mtimeMs);
    if (answer.ContentLength === undefined || tag === null) {
      throw brokenAnswer(this.address, doing, 'gives no size or no version');
    }
    return { key: Buffer.from(key), size: answer.ContentLength, mtimeMs: mtimeMs ?? 0, tag };
  }

  /** The region that the bucket says it is in; null when it does not. */
  async findRegion(signal: AbortSignal): Promise<string | null> {
    const command = new HeadBucketCommand({ Bucket: this.address.bucket });
    try {
      return (await this.#client.send(command, { abortSignal: signal })).BucketRegion ?? null;
    } catch (thrown) {
      return failureOf(thrown).bucketRegion;
    }
  }

  async credentials(): Promise<SourceCredentials | null> {
    return this.#chain === null ? null : this.#asked(`requests to s3://${this.address.bucket}`, this.#chain.current());
  }

  close(): void {
    this.#client.destroy();
  }

  async #asked<T>(doing: string, answer: Promise<T>): Promise<T> {
    try {
      return await answer;
    } catch (thrown) {
      throw new S3RequestError(failureOf(thrown), this.address, doing);
    }
  }
}

const ok = 200;
/** What is left of an answer for the SDK once its list has been read. */
const nothingListed = Buffer.from('<ListBucketResult/>');

/**
 * Has the body of a LIST read natively before the SDK does, whose parser costs fifty times as much; it gets what is in
 * any way unusual. What is asked, how often and with which errors is the SDK's as ever.
 */
function readFirst(command: ListObjectsV2Command, prefix: Buffer): { readonly answer: ListAnswer | null } {
  const own: { answer: ListAnswer | null } = { answer: null };
  command.middlewareStack.add(
    (next) => async (args) => {
      const result = await next(args);
      const { response } = result;
      if (!HttpResponse.isInstance(response) || response.statusCode !== ok) return result;
      const chunks = await chunksOf(response.body);
      own.answer = listAnswerIn(chunks, prefix);
      response.body = own.answer === null ? Buffer.concat(chunks) : nothingListed;
      return result;
    },
    { step: 'deserialize', priority: 'low' },
  );
  return own;
}

async function chunksOf(body: AsyncIterable<Buffer>): Promise<Buffer[]> {
  const chunks: Buffer[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return chunks;
}
