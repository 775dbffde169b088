import {
  CreateBucketCommand,
  DeleteObjectCommand,
  PutBucketPolicyCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';

import type { S3Server } from './s3-server.ts';

const putsAtOnce = 16;

export interface PutObject {
  readonly key: string;
  readonly bytes: Uint8Array;
}

export interface PutOptions {
  /** After each object that the server has acknowledged. */
  readonly onPut?: (bytes: number) => void;
  readonly signal?: AbortSignal;
}

/** A bucket to write to, as its owner does it: past Millpool, which never writes. */
export class WritableBucket {
  readonly name: string;
  readonly #client: S3Client;

  private constructor(name: string, client: S3Client) {
    this.name = name;
    this.#client = client;
  }

  static async create(server: Omit<S3Server, 'stop'>, name: string): Promise<WritableBucket> {
    // Which Node the SDK is about to leave behind is no news of the test or demo that runs.
    process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';
    const client = new S3Client({
      endpoint: server.endpoint,
      region: server.region,
      forcePathStyle: true,
      credentials: { accessKeyId: server.accessKey, secretAccessKey: server.secretKey },
    });
    await client.send(new CreateBucketCommand({ Bucket: name }));
    return new WritableBucket(name, client);
  }

  async put(key: string, bytes: Uint8Array): Promise<void> {
    await this.#client.send(new PutObjectCommand({ Bucket: this.name, Key: key, Body: bytes }));
  }

  /** Takes the next object when one of sixteen is done, so that a generator's objects are never all in memory. */
  async putAll(objects: Iterable<PutObject> | AsyncIterable<PutObject>, { onPut, signal }: PutOptions): Promise<void> {
    const under = new Set<Promise<void>>();
    for await (const { key, bytes } of objects) {
      signal?.throwIfAborted();
      const done = this.put(key, bytes).then(() => {
        under.delete(done);
        onPut?.(bytes.length);
      });
      under.add(done);
      // A failure stays in `under`, and is thrown by the next wait.
      done.catch(() => undefined);
      if (under.size >= putsAtOnce) await Promise.race(under);
    }
    await Promise.all(under);
  }

  async remove(key: string): Promise<void> {
    await this.#client.send(new DeleteObjectCommand({ Bucket: this.name, Key: key }));
  }

  /** Lets everybody list and read it, without a signature. */
  async publish(): Promise<void> {
    const statement = {
      Effect: 'Allow',
      Principal: '*',
      Action: ['s3:GetObject', 's3:ListBucket'],
      Resource: [`arn:aws:s3:::${this.name}`, `arn:aws:s3:::${this.name}/*`],
    };
    const policy = JSON.stringify({ Version: '2012-10-17', Statement: [statement] });
    await this.#client.send(new PutBucketPolicyCommand({ Bucket: this.name, Policy: policy }));
  }

  close(): void {
    this.#client.destroy();
  }
}
