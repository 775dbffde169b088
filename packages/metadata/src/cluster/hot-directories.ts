import type { Log } from '@millpool/host';
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
  readonly log: Log;
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
    const { node, heat } = this.#parts;
    const others = node.view.serving.filter(({ id }) => id !== node.id);
    const asked = others.map(async ({ id }) => ({ id, told: await this.#ask(id, limit, signal) }));
    const answers = await Promise.all(asked);
    const byDirectory = new Map<string, [DirectoryHeat, ...DirectoryHeat[]]>();
    for (const one of [heat.hottest(limit), ...answers.map(({ told }) => told ?? [])].flat()) {
      const before = byDirectory.get(one.directory);
      if (before === undefined) byDirectory.set(one.directory, [one]);
      else before.push(one);
    }
    const merged = [...byDirectory.values()].map(heatOfAll).sort((left, right) => rateOf(right) - rateOf(left));
    return {
      directories: merged
        .slice(0, limit)
        .map((directory) => ({ ...directory, ...homeOf(this.#parts, directory.directory) })),
      missing: answers.flatMap(({ id, told }) => (told === null ? [id] : [])),
    };
  }

  async #ask(id: string, limit: number, signal: AbortSignal): Promise<readonly DirectoryHeat[] | null> {
    const { peers, log } = this.#parts;
    const call = { method: 'owner-heat', request: { limit } } as const;
    try {
      return (await peers.call(id, call, { signal, timeoutSeconds: askTimeoutSeconds })).directories;
    } catch (error) {
      if (signal.aborted) throw error;
      log.debug('a node did not tell what it counted', { node: id, error });
      return null;
    }
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
