import type { DirectoryHeat, DirsReply, HotDirectory } from '@millpool/protocol';

import { heatOfAll } from '../heat/directory-heat.ts';
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

const askTimeoutSeconds = 2;

/** What all owners counted, put together. */
export class HotDirectories {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** The hottest first. A node that does not answer is named, and what it counted is not in it. */
  async list(limit: number, signal: AbortSignal): Promise<DirsReply> {
    const { node, heat, peers } = this.#parts;
    const others = node.view.serving.flatMap(({ id }) => (id === node.id ? [] : [id]));
    const question = { method: 'owner-heat', request: { limit } } as const;
    const answers = await peers.each(others, question, { signal, timeoutSeconds: askTimeoutSeconds });
    const byDirectory = new Map<string, [DirectoryHeat, ...DirectoryHeat[]]>();
    for (const one of [heat.hottest(limit), ...answers.map(({ reply }) => reply?.directories ?? [])].flat()) {
      const before = byDirectory.get(one.directory);
      if (before === undefined) byDirectory.set(one.directory, [one]);
      else before.push(one);
    }
    const merged = [...byDirectory.values()].map(heatOfAll).sort((left, right) => rateOf(right) - rateOf(left));
    return {
      directories: merged
        .slice(0, limit)
        .map((directory) => ({ ...directory, ...homeOf(this.#parts, directory.directory) })),
      missing: answers.flatMap(({ id, reply }) => (reply === null ? [id] : [])),
    };
  }
}

/** Where a directory has its home, and what is done for its load. */
export function homeOf(
  { local, node }: Pick<Parts, 'local' | 'node'>,
  path: string,
): Pick<HotDirectory, 'shard' | 'owner' | 'rung'> {
  const home = local.homeOf(path, 'listing');
  if (home === null) return { shard: null, owner: null, rung: 'none' };
  const { shard, directory } = home;
  const owner = node.view.ownerOf(shard)?.owner ?? null;
  return { shard, owner, rung: node.view.directory(directory)?.rung ?? 'none' };
}

function rateOf({ readsPerS, writesPerS }: DirectoryHeat): number {
  return readsPerS + writesPerS;
}
