import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { FaultProxy } from './fault-proxy.ts';
import { MillpoolNode } from './millpool-process.ts';
import type { NodeOptions } from './millpool-process.ts';
import { awsEnvironment, clearAwsEnvironment } from './s3-server.ts';
import type { S3Server } from './s3-server.ts';
import { temporaryFolder } from './temporary-folder.ts';
import type { TemporaryFolder } from './temporary-folder.ts';
import { startVersitygw } from './versitygw.ts';
import { WritableBucket } from './writable-bucket.ts';

/** Starts a server with its files in a directory; a null secret is the server's own choice. */
export type Serve = (directory: string, secretKey: string | null) => Promise<S3Server>;

/** An object is admitted to the cache when it is older than this. */
const settleMs = 2100;

/**
 * A bucket of a real S3 server with known content, and a proxy before the server that can do harm. Daemons on it have
 * this process's environment, out of which every AWS setting of the machine was taken.
 */
export class S3Bed {
  /** For the server's files, those of AWS, and whatever a test needs. */
  readonly directory: string;
  readonly bucket: WritableBucket;
  readonly proxy: FaultProxy;
  readonly #folder: TemporaryFolder;
  readonly #serve: Serve;
  readonly #contents = new Map<string, Buffer>();
  #server: S3Server;
  readonly #nodes: MillpoolNode[] = [];

  private constructor(
    serve: Serve,
    folder: TemporaryFolder,
    made: { readonly server: S3Server; readonly bucket: WritableBucket; readonly proxy: FaultProxy },
  ) {
    this.directory = folder.path;
    this.bucket = made.bucket;
    this.proxy = made.proxy;
    this.#serve = serve;
    this.#folder = folder;
    this.#server = made.server;
  }

  /** Over versitygw. */
  static start(name: string, binary: string): Promise<S3Bed> {
    return S3Bed.over(name, (directory, secretKey) =>
      startVersitygw({ binary, directory, ...(secretKey === null ? {} : { secretKey }) }),
    );
  }

  static async over(name: string, serve: Serve): Promise<S3Bed> {
    const folder = await temporaryFolder(name);
    clearAwsEnvironment(folder.path);
    const server = await serve(join(folder.path, 'server'), null);
    const bucket = await WritableBucket.create(server, name);
    return new S3Bed(serve, folder, { server, bucket, proxy: await FaultProxy.start(server.endpoint, 1) });
  }

  /** Where the bucket is attached, unless it is said otherwise. */
  get root(): string {
    return `/${this.bucket.name}`;
  }

  get source(): string {
    return `s3://${this.bucket.name}`;
  }

  /** What tells a daemon of the server behind the proxy. */
  get env(): Record<string, string> {
    return awsEnvironment({ ...this.#server, endpoint: this.proxy.endpoint });
  }

  /** Paths in the namespace, in order. */
  get paths(): readonly string[] {
    return [...this.#contents.keys()].sort().map((key) => `${this.root}/${key}`);
  }

  /** What the bucket holds at a path of the namespace. */
  bytesOf(path: string): Buffer {
    const bytes = this.#contents.get(path.slice(this.root.length + 1));
    if (bytes === undefined) throw new Error(`the bucket holds no ${path}`);
    return bytes;
  }

  async put(key: string, bytes: Buffer): Promise<void> {
    await this.bucket.put(key, bytes);
    this.#contents.set(key, bytes);
  }

  async remove(key: string): Promise<void> {
    await this.bucket.remove(key);
    this.#contents.delete(key);
  }

  /** Until what was put last may be kept by a cache. */
  async settle(): Promise<void> {
    await sleep(settleMs);
  }

  /** A daemon of its own over the bucket, which ends with the bed if not before. */
  async startNode(options: Partial<NodeOptions> = {}): Promise<MillpoolNode> {
    const directory = join(this.directory, `node-${this.#nodes.length}`);
    const env = { ...this.env, ...options.env };
    const node = await MillpoolNode.start({ directory, sources: [this.source], ...options, env });
    this.#nodes.push(node);
    return node;
  }

  /** The server comes back with another secret key: from then on the old one is wrong. */
  async changeSecret(secretKey: string): Promise<void> {
    await this.#server.stop();
    this.#server = await this.#serve(join(this.directory, 'server'), secretKey);
    this.proxy.redirect(this.#server.endpoint);
  }

  async stop(): Promise<void> {
    await Promise.all(this.#nodes.map((node) => node.stop()));
    await this.proxy.stop();
    this.bucket.close();
    await this.#server.stop();
    await this.#folder.remove();
  }
}
