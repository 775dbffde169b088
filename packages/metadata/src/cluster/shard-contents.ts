import { hotDirectoriesMax } from '@millpool/protocol';
import type { ShardContent } from '@millpool/protocol';

import type { HeatCounter } from '../heat/heat-counter.ts';
import type { LocalMetadata } from '../start.ts';
import type { ClusterNode } from './cluster-node.ts';
import type { Peers } from './peers.ts';

interface Parts {
  readonly node: ClusterNode;
  readonly local: LocalMetadata;
  readonly peers: Peers;
  readonly heat: HeatCounter;
}

/** What all owners told of their shards. */
export interface ToldContents {
  readonly contents: readonly ShardContent[];
  /** Nodes that did not tell. */
  readonly missing: readonly string[];
}

/** To count what a store of ten million names in small directories has takes some seconds. */
const askTimeoutSeconds = 20;

/** What is in the shards of a cluster and asked of them, as their owners tell it. */
export class ShardContents {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  async all(signal: AbortSignal): Promise<ToldContents> {
    const { node, peers } = this.#parts;
    const others = node.view.serving.flatMap(({ id }) => (id === node.id ? [] : [id]));
    const question = { method: 'owner-shards', request: {} } as const;
    const [own, answers] = await Promise.all([
      contentsOf(this.#parts, signal),
      peers.each(others, question, { signal, timeoutSeconds: askTimeoutSeconds }),
    ]);
    return {
      contents: [...own, ...answers.flatMap(({ reply }) => reply?.shards ?? [])],
      missing: answers.flatMap(({ id, reply }) => (reply === null ? [id] : [])),
    };
  }
}

/** As this node knows it. */
export async function contentsOf(
  { node, local, heat }: Pick<Parts, 'node' | 'local' | 'heat'>,
  signal: AbortSignal,
): Promise<ShardContent[]> {
  const readsPerS = readsOf({ node, local, heat });
  const kept = await local.directories.kept(signal);
  const own = [...kept.names].filter(([shard]) => node.isNamed(shard));
  const entriesOf = new Map(own);
  return [...new Set([...entriesOf.keys(), ...readsPerS.keys()])].map((shard) => {
    const entries = entriesOf.get(shard) ?? 0;
    return { shard, entries, bytes: Math.round(entries * kept.bytesAName), readsPerS: readsPerS.get(shard) ?? 0 };
  });
}

/**
 * By shard. Of a directory that is shared out its parts have the same each; one that is published is read where it is
 * asked for, so its shard has none.
 */
function readsOf({ node, local, heat }: Pick<Parts, 'node' | 'local' | 'heat'>): Map<number, number> {
  const reads = new Map<number, number>();
  for (const { directory, readsPerS } of heat.hottest(hotDirectoriesMax)) {
    const home = local.homeOf(directory, 'listing');
    if (home === null || !node.isNamed(home.shard)) continue;
    const kept = node.view.directory(home.directory);
    if (kept?.rung === 'publish') continue;
    const shards = kept?.shards ?? [home.shard];
    for (const shard of shards) reads.set(shard, (reads.get(shard) ?? 0) + readsPerS / shards.length);
  }
  return reads;
}
