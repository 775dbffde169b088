import type { Home } from '../home.ts';
import type { ClusterView } from './cluster-view.ts';

/**
 * The shards of a directory's parts, so that each node has as many as the others: by their hashes alone some would have
 * twice as many. The first is its home. Of a node's shards they are different ones as far as it has them.
 */
export function placedParts(view: ClusterView, { shard: home, directory }: Home, count: number): number[] {
  const owner = view.ownerOf(home)?.owner ?? '';
  const others = view.takers.map(({ id }) => id).filter((id) => id !== owner);
  const shardsOf = new Map([owner, ...others].map((id) => [id, [] as number[]]));
  for (let shard = 0; shard < view.shards; shard += 1) {
    if (shard !== home) shardsOf.get(view.ownerOf(shard)?.owner ?? '')?.push(shard);
  }
  shardsOf.get(owner)?.unshift(home);
  const nodes = [...shardsOf.values()].filter((shards) => shards.length > 0);
  // Parts of other directories begin elsewhere.
  const turn = Number.parseInt(directory.slice(-8), 16);
  return Array.from({ length: count }, (_, part) => {
    const shards = nodes[part % nodes.length] ?? [home];
    const round = Math.floor(part / nodes.length);
    return part === 0 ? home : (shards[(round + (part % nodes.length === 0 ? 0 : turn)) % shards.length] ?? home);
  });
}
