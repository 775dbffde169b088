import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Change, CoordStore, WatchRequest } from '@millpool/coordination';
import { MemoryState, MemoryStore } from '@millpool/coordination/testing';
import { silentLog, systemClock } from '@millpool/host';
import type { ClusterMethod, Handlers, OwnerMethod } from '@millpool/protocol';
import { connectTransport, listenTransport } from '@millpool/transport';
import type { TransportServer } from '@millpool/transport';

import { ClusterAdmin } from '../cluster/cluster-admin.ts';
import { ClusterMap } from '../cluster/cluster-map.ts';
import { ClusterNode } from '../cluster/cluster-node.ts';
import { DirectoryAdmin } from '../cluster/directory-admin.ts';
import { DirectoryWarden } from '../cluster/directory-warden.ts';
import { HotDirectories } from '../cluster/hot-directories.ts';
import { ownerHandlers } from '../cluster/owner-handlers.ts';
import { Peers } from '../cluster/peers.ts';
import type { PeerConnection } from '../cluster/peers.ts';
import { routedMetadata } from '../cluster/routed-metadata.ts';
import { ShardContents } from '../cluster/shard-contents.ts';
import { HeatCounter } from '../heat/heat-counter.ts';
import type { Metadata } from '../start.ts';
import type { MemoryBucket } from './memory-bucket.ts';
import { never, NodeFixture } from './node-fixture.ts';

/** One that hears of no change that others make, until it asks. */
class DeafStore extends MemoryStore {
  override watch({ signal }: WatchRequest): AsyncIterable<Change> {
    const next = (): Promise<never> =>
      new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));
    return { [Symbol.asyncIterator]: () => ({ next }) };
  }
}

interface MemberConfig {
  readonly shards: number;
  readonly isDeaf?: boolean;
  readonly hotReadsPerS?: number;
}

export interface ClusterMember {
  readonly fixture: NodeFixture;
  readonly node: ClusterNode;
  readonly admin: Handlers<ClusterMethod>;
  /** What others ask it. */
  readonly handlers: Handlers<OwnerMethod>;
  /** As a daemon of the cluster sees it. */
  readonly metadata: Metadata;
  /** Node and method, for each question that it asked others. */
  readonly asked: { readonly id: string; readonly method: OwnerMethod }[];
  /** By which it asks others. */
  readonly peers: Peers;
  /** Nobody reaches it any longer; it stays a member. */
  hangUp(): Promise<void>;
}

/** Nodes of a cluster in one process, on LMDB files, one coordination store in memory, and real sockets. */
export class ClusterFixture {
  readonly state = new MemoryState();
  readonly members: ClusterMember[] = [];
  readonly #directory: string;
  readonly #closes: (() => Promise<unknown>)[] = [];

  private constructor(directory: string) {
    this.#directory = directory;
  }

  static async start(): Promise<ClusterFixture> {
    return new ClusterFixture(await mkdtemp(join(tmpdir(), 'millpool-cluster-')));
  }

  async add(id: string, { shards, isDeaf = false, hotReadsPerS = 0 }: MemberConfig): Promise<ClusterMember> {
    const shared: CoordStore = isDeaf
      ? new DeafStore(this.state, systemClock)
      : new MemoryStore(this.state, systemClock);
    const fixture = await NodeFixture.at(join(this.#directory, id), { shards, shared });
    const parts = { store: shared, clock: systemClock, log: silentLog };
    const address = join(this.#directory, `${id}.sock`);
    const record = { id, address, version: '0.0.0', roles: ['metadata'] } as const;
    const node = await ClusterNode.start({ node: record, shards, ...parts });
    const local = fixture.metadata;
    const heat = new HeatCounter(systemClock);
    const asked: { id: string; method: OwnerMethod }[] = [];
    const connect = async (to: string): Promise<PeerConnection> => {
      const connection = await connectTransport(to);
      const name = to.slice(to.lastIndexOf('/') + 1, -'.sock'.length);
      return {
        call: (method, ...rest) => {
          asked.push({ id: name, method });
          return connection.call(method, ...rest);
        },
        close: () => connection.close(),
      };
    };
    const peers = new Peers({ view: node.view, connect, ...parts });
    const routed = routedMetadata({ node, local, peers, heat, ...parts });
    const handlers = ownerHandlers(routed.routing);
    const server = await listenTransport(address, handlers);
    const warden = DirectoryWarden.start({ node, local, heat, hotReadsPerS, ...parts });
    const hangUp = once(server);
    this.#closes.push(
      () => warden.stop(),
      async () => routed.close(),
      () => peers.close(),
      hangUp,
      () => node.stop(),
      () => fixture.remove(),
      () => shared.close(),
    );
    const hot = new HotDirectories({ node, local, peers, heat });
    const contents = new ShardContents({ node, local, peers, heat });
    const admin = {
      ...new ClusterAdmin({ id, view: node.view, contents: (signal) => contents.all(signal), ...parts }).handlers,
      ...new ClusterMap(parts).handlers,
      ...new DirectoryAdmin({ node, local, hot, ...parts }).handlers,
    };
    const member = { fixture, node, admin, handlers, peers, metadata: routed.metadata, asked, hangUp };
    this.members.push(member);
    return member;
  }

  /** Makes the shards even, and waits for it. */
  async balance(): Promise<void> {
    const [first] = this.members;
    if (first === undefined) throw new Error('the cluster has no member');
    await first.admin['rebalance-run']({ atOnce: 64, bytesPerSecond: null }, { signal: never });
    for (;;) {
      const { rebalance } = await first.admin['rebalance-status']({}, { signal: never });
      if (rebalance?.state === 'done') return;
      await systemClock.sleep(20);
    }
  }

  /** All know it. */
  attachBucket(bucket: MemoryBucket): void {
    for (const { fixture } of this.members) fixture.buckets.set(bucket.source, bucket);
  }

  async remove(): Promise<void> {
    for (const close of this.#closes) await close();
    await rm(this.#directory, { recursive: true, force: true });
  }
}

function once(server: TransportServer): () => Promise<void> {
  let closing: Promise<void> | null = null;
  return () => (closing ??= server.close());
}
