import { LiveRange } from '@millpool/coordination';
import type { CoordStore, KeyValue } from '@millpool/coordination';
import type { Clock, Log } from '@millpool/host';

import { awayPrefix, decodeAway } from './away-record.ts';
import { clusterPrefix } from './cluster-key.ts';
import { decodeDirectoryRecord, directoryPrefix, directoryRecordKey } from './directory-record.ts';
import type { KeptDirectory } from './directory-record.ts';
import { drainKey, drainPrefix } from './drain-record.ts';
import { decodeMove, moveKey, movePrefix } from './move-record.ts';
import type { AskedMove } from './move-record.ts';
import { decodeNode, nodeKey, nodePrefix } from './node-record.ts';
import type { NodeRecord } from './node-record.ts';
import { decodeRebalance, rebalanceKey } from './rebalance-record.ts';
import type { KeptRebalance } from './rebalance-record.ts';
import { decodeShard, shardKey, shardPrefix } from './shard-record.ts';
import type { ShardRecord } from './shard-record.ts';

/** A shard's owner, and the revision by which it is swapped for another. */
export interface OwnedShard extends ShardRecord {
  readonly modRevision: number;
}

type Known =
  | { readonly kind: 'node'; readonly node: NodeRecord }
  | { readonly kind: 'shard'; readonly owned: OwnedShard }
  | { readonly kind: 'move'; readonly shard: number; readonly move: AskedMove }
  | { readonly kind: 'drain'; readonly id: string }
  | { readonly kind: 'away'; readonly id: string; readonly until: string }
  | { readonly kind: 'directory'; readonly directory: KeptDirectory }
  | { readonly kind: 'rebalance'; readonly rebalance: KeptRebalance }
  /** Of a newer version, say. */
  | { readonly kind: 'other' };

/** Who is in the cluster, who owns what, and what is to move, as the coordination store had it a moment ago. */
export class ClusterView {
  readonly shards: number;
  /** By shard. */
  readonly #names: readonly string[];
  readonly #known: LiveRange<Known>;
  /** As of that revision. */
  #nodes: readonly NodeRecord[] = [];
  #nodesOf = -1;

  private constructor(shards: number, known: LiveRange<Known>) {
    this.shards = shards;
    this.#known = known;
    this.#names = Array.from({ length: shards }, (_, shard) => nameOf(shardKey(shard)));
  }

  static async open(of: {
    readonly store: CoordStore;
    readonly shards: number;
    readonly clock: Clock;
    readonly log: Log;
  }): Promise<ClusterView> {
    return new ClusterView(of.shards, await LiveRange.open({ ...of, prefix: clusterPrefix, decode }));
  }

  /** In the order of their ids. */
  get nodes(): readonly NodeRecord[] {
    if (this.#nodesOf !== this.#known.revision) {
      const nodes = this.#below(nodePrefix).flatMap((known) => (known.kind === 'node' ? [known.node] : []));
      this.#nodes = nodes.sort((left, right) => (left.id < right.id ? -1 : 1));
      this.#nodesOf = this.#known.revision;
    }
    return this.#nodes;
  }

  /** Null: it is not there. */
  node(id: string): NodeRecord | null {
    const known = this.#known.entries.get(nameOf(nodeKey(id)));
    return known?.kind === 'node' ? known.node : null;
  }

  /** Ids of the nodes that are to have no shards, there or not. */
  get draining(): ReadonlySet<string> {
    return new Set(this.#below(drainPrefix).flatMap((known) => (known.kind === 'drain' ? [known.id] : [])));
  }

  /** Nodes that are not there and are waited for, by their ids: until when. One that is to be drained is not. */
  get awaited(): ReadonlyMap<string, string> {
    const away = this.#below(awayPrefix).flatMap((known) => (known.kind === 'away' ? [known] : []));
    const { draining } = this;
    const awaited = away.filter(({ id }) => this.node(id) === null && !draining.has(id));
    return new Map(awaited.map(({ id, until }) => [id, until]));
  }

  /** Those that may own shards. */
  get serving(): readonly NodeRecord[] {
    return this.nodes.filter(({ roles }) => roles.includes('metadata'));
  }

  /** Those that are to have shards. Where all of them are being drained, they have them nevertheless. */
  get takers(): readonly NodeRecord[] {
    const { serving } = this;
    const staying = serving.filter(({ id }) => !this.#known.entries.has(nameOf(drainKey(id))));
    return staying.length > 0 ? staying : serving;
  }

  /** Null: nobody ever did. */
  ownerOf(shard: number): OwnedShard | null {
    const known = this.#known.entries.get(this.#names[shard] ?? '');
    return known?.kind === 'shard' ? known.owned : null;
  }

  /** Its record is there and cannot be read; only an operator can put it back. */
  isDamaged(shard: number): boolean {
    return this.#known.damaged.has(this.#names[shard] ?? '');
  }

  /** What owners are asked to hand over, by shard. */
  get moves(): ReadonlyMap<number, AskedMove> {
    return new Map(
      this.#below(movePrefix).flatMap((known) => (known.kind === 'move' ? [[known.shard, known.move]] : [])),
    );
  }

  moveOf(shard: number): AskedMove | null {
    const known = this.#known.entries.get(nameOf(moveKey(shard)));
    return known?.kind === 'move' ? known.move : null;
  }

  /** By its id in hex. Null: nothing is done for its load. */
  directory(id: string): KeptDirectory | null {
    const known = this.#known.entries.get(nameOf(directoryRecordKey(id)));
    return known?.kind === 'directory' ? known.directory : null;
  }

  get directories(): readonly KeptDirectory[] {
    return this.#below(directoryPrefix).flatMap((known) => (known.kind === 'directory' ? [known.directory] : []));
  }

  /** The last one; null: there was none. */
  get rebalance(): KeptRebalance | null {
    const known = this.#known.entries.get(nameOf(rebalanceKey));
    return known?.kind === 'rebalance' ? known.rebalance : null;
  }

  /** Nothing that was changed before the call is missing after it. */
  refresh(): Promise<void> {
    return this.#known.refresh();
  }

  /** It shows a change that this node made by a transaction of that revision, and all before. */
  reach(revision: number): Promise<void> {
    return this.#known.reach(revision);
  }

  /** It shows what somebody else has seen, or that this is not so yet. */
  until(isSo: () => boolean): Promise<void> {
    return this.#known.until(isSo);
  }

  listen(listener: () => void): () => void {
    return this.#known.listen(listener);
  }

  close(): void {
    this.#known.close();
  }

  #below(prefix: string): Known[] {
    return [...this.#known.below(nameOf(prefix)).values()];
  }
}

function decode(entry: KeyValue): Known {
  const { key, modRevision } = entry;
  const after = (prefix: string): string => key.slice(prefix.length);
  if (key.startsWith(shardPrefix)) return { kind: 'shard', owned: { ...decodeShard(entry), modRevision } };
  if (key.startsWith(nodePrefix)) return { kind: 'node', node: decodeNode(entry) };
  if (key.startsWith(movePrefix)) return { kind: 'move', shard: Number(after(movePrefix)), move: decodeMove(entry) };
  if (key.startsWith(drainPrefix)) return { kind: 'drain', id: after(drainPrefix) };
  if (key.startsWith(awayPrefix)) return { kind: 'away', id: after(awayPrefix), ...decodeAway(entry) };
  if (key.startsWith(directoryPrefix)) return { kind: 'directory', directory: decodeDirectoryRecord(entry) };
  if (key === rebalanceKey) return { kind: 'rebalance', rebalance: decodeRebalance(entry) };
  return { kind: 'other' };
}

function nameOf(key: string): string {
  return key.slice(clusterPrefix.length);
}
