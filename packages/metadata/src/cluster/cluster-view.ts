import { LiveRange } from '@millpool/coordination';
import type { CoordStore, KeyValue } from '@millpool/coordination';
import type { Clock, Log } from '@millpool/host';

import { decodeNode, nodePrefix } from './node-record.ts';
import type { NodeRecord } from './node-record.ts';
import { decodeShard, shardName, shardPrefix } from './shard-record.ts';
import type { ShardRecord } from './shard-record.ts';

/** A shard's owner, and the revision by which it is swapped for another. */
export interface OwnedShard extends ShardRecord {
  readonly modRevision: number;
}

/** Who is in the cluster and who owns what, as the coordination store had it a moment ago. */
export class ClusterView {
  readonly shards: number;
  readonly #names: readonly string[];
  readonly #nodes: LiveRange<NodeRecord>;
  readonly #owners: LiveRange<OwnedShard>;

  private constructor(shards: number, nodes: LiveRange<NodeRecord>, owners: LiveRange<OwnedShard>) {
    this.shards = shards;
    this.#names = Array.from({ length: shards }, (_, shard) => shardName(shard));
    this.#nodes = nodes;
    this.#owners = owners;
  }

  static async open(of: {
    readonly store: CoordStore;
    readonly shards: number;
    readonly clock: Clock;
    readonly log: Log;
  }): Promise<ClusterView> {
    const nodes = await LiveRange.open({ ...of, prefix: nodePrefix, decode: decodeNode });
    const owners = await LiveRange.open({ ...of, prefix: shardPrefix, decode: ownedShard });
    return new ClusterView(of.shards, nodes, owners);
  }

  /** In the order of their ids. */
  get nodes(): readonly NodeRecord[] {
    return [...this.#nodes.entries.values()].sort((left, right) => (left.id < right.id ? -1 : 1));
  }

  /** Null: nobody ever did. */
  ownerOf(shard: number): OwnedShard | null {
    return this.#owners.entries.get(this.#names[shard] ?? '') ?? null;
  }

  /** Nothing that was changed before the call is missing after it. */
  async refresh(): Promise<void> {
    await Promise.all([this.#nodes.refresh(), this.#owners.refresh()]);
  }

  listen(listener: () => void): () => void {
    const ends = [this.#nodes.listen(listener), this.#owners.listen(listener)];
    return () => ends.forEach((end) => end());
  }

  close(): void {
    this.#nodes.close();
    this.#owners.close();
  }
}

function ownedShard(entry: KeyValue): OwnedShard {
  return { ...decodeShard(entry), modRevision: entry.modRevision };
}
