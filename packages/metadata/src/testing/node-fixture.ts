import { setMaxListeners } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { openLmdbStore } from '@millpool/coordination';
import type { CoordStore } from '@millpool/coordination';
import { HandClock, LogLines } from '@millpool/host/testing';
import { unpackEntries } from '@millpool/protocol';
import type { Attachment, Entry, Freshness, ListReply } from '@millpool/protocol';
import { openUnderStorage } from '@millpool/under-storage';

import type { LookupResult } from '../resolved-entry.ts';
import { startMetadata } from '../start.ts';
import type { LocalMetadata } from '../start.ts';
import type { MemoryBucket } from './memory-bucket.ts';

export const never: AbortSignal = new AbortController().signal;
setMaxListeners(0, never);
const ttl: Freshness = { kind: 'ttl', seconds: 60 };

interface Limits {
  readonly shards?: number;
  readonly partitionNamesMax?: number;
  readonly shared?: CoordStore;
  readonly hotNamesBytes?: number;
}

/**
 * The metadata service of one node on a directory of its own, a clock that tests turn, and buckets in memory by name.
 */
export class NodeFixture {
  readonly clock = new HandClock();
  readonly log = new LogLines();
  readonly buckets: Map<string, MemoryBucket>;
  readonly directory: string;
  readonly #limits: Limits;
  #store: CoordStore | null = null;
  #metadata: LocalMetadata | null = null;

  private constructor(directory: string, limits: Limits, buckets: Map<string, MemoryBucket>) {
    this.directory = directory;
    this.#limits = limits;
    this.buckets = buckets;
  }

  static async start(limits: Limits = {}): Promise<NodeFixture> {
    return NodeFixture.at(await mkdtemp(join(tmpdir(), 'millpool-metadata-')), limits);
  }

  /** On a directory that a node may have left, with the buckets that were attached. */
  static async at(directory: string, limits: Limits, ...buckets: MemoryBucket[]): Promise<NodeFixture> {
    const node = new NodeFixture(directory, limits, new Map(buckets.map((bucket) => [bucket.source, bucket])));
    await node.up();
    return node;
  }

  get metadata(): LocalMetadata {
    if (this.#metadata === null) throw new Error('the node is down');
    return this.#metadata;
  }

  async up(): Promise<void> {
    this.#store = await openLmdbStore(join(this.directory, 'coordination'), { clock: this.clock });
    this.#metadata = await startMetadata({
      directory: join(this.directory, 'metadata'),
      store: this.#store,
      open: async (source, s3) => this.buckets.get(source)?.opened() ?? openUnderStorage(source, s3),
      clock: this.clock,
      log: this.log.log,
      ...this.#limits,
    });
  }

  async down(): Promise<void> {
    await this.#metadata?.stop();
    await this.#store?.close();
    this.#metadata = null;
    this.#store = null;
  }

  async remove(): Promise<void> {
    await this.down();
    await rm(this.directory, { recursive: true, force: true });
  }

  attach(source: string, path: string | null, freshness: Freshness = ttl): Promise<Attachment> {
    const request = { source, path, freshness, policy: 'auto', compression: 'off', readOnly: true, s3: null } as const;
    return this.metadata.handlers.attach(request, { signal: never });
  }

  /** A new bucket in memory, attached at `path`. */
  async attachBucket(bucket: MemoryBucket, path: string, freshness: Freshness = ttl): Promise<MemoryBucket> {
    this.buckets.set(bucket.source, bucket);
    await this.attach(bucket.source, path, freshness);
    return bucket;
  }

  page(path: string, rest: { recursive?: boolean; cursor?: string | null; limit?: number } = {}): Promise<ListReply> {
    const { recursive = false, cursor = null, limit = 1_000 } = rest;
    return this.metadata.handlers.list({ path, recursive, cursor, limit }, { signal: never });
  }

  async list(path: string, rest: { recursive?: boolean; limit?: number } = {}): Promise<Entry[]> {
    const entries: Entry[] = [];
    for (let cursor: string | null = null, more = true; more;) {
      const page = await this.page(path, { ...rest, cursor });
      entries.push(...unpackEntries(page.entries));
      cursor = page.cursor;
      more = cursor !== null;
    }
    return entries;
  }

  async walk(path: string): Promise<string[]> {
    const paths: string[] = [];
    for await (const page of this.metadata.walk(path, never)) paths.push(...page.map((entry) => entry.path));
    return paths;
  }

  lookup(...paths: string[]): Promise<LookupResult[]> {
    return this.metadata.lookup(paths, never);
  }

  /** For each path its type, or the code of its error. */
  async kinds(...paths: string[]): Promise<string[]> {
    return (await this.lookup(...paths)).map((result) => ('error' in result ? result.error.code : result.type));
  }
}
