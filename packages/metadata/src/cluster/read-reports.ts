import type { Clock, Log, Timer } from '@millpool/host';
import type { AnsweredReads } from '@millpool/protocol';

import type { HeatCounter } from '../heat/heat-counter.ts';
import type { LocalMetadata } from '../start.ts';
import type { ClusterNode } from './cluster-node.ts';
import type { Owners } from './owners.ts';
import type { Peers } from './peers.ts';

interface Parts {
  readonly node: ClusterNode;
  readonly local: LocalMetadata;
  readonly owners: Owners;
  readonly peers: Peers;
  readonly heat: HeatCounter;
  readonly clock: Clock;
  readonly log: Log;
}

const everyMs = 1_000;
const tellTimeoutSeconds = 2;

/**
 * What this node answers from copies, told to the owners of the directories' homes once a second: else a directory
 * would look cool because it is published. What cannot be told is forgotten.
 */
export class ReadReports {
  readonly #parts: Parts;
  readonly #stop = new AbortController();
  /** By caller, name and path. */
  #reads = new Map<string, AnsweredReads>();
  #timer: Timer | null = null;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** `nameHash`: all of them were of that one name. */
  count(path: string, reads: number, caller: string, nameHash: number | null = null): void {
    const key = `${caller} ${nameHash ?? ''} ${path}`;
    this.#reads.set(key, { path, caller, nameHash, reads: reads + (this.#reads.get(key)?.reads ?? 0) });
    this.#timer ??= this.#parts.clock.after(everyMs, () => void this.#tell());
  }

  close(): void {
    this.#stop.abort();
    this.#timer?.cancel();
  }

  async #tell(): Promise<void> {
    const { local, owners, heat } = this.#parts;
    const reads = this.#reads;
    this.#reads = new Map();
    this.#timer = null;
    const byOwner = new Map<string, AnsweredReads[]>();
    for (const answered of reads.values()) {
      const home = local.homeOf(answered.path, 'listing');
      if (home === null) continue;
      const owner = owners.otherOf(home.shard)?.owner;
      if (owner === undefined) heat.answeredElsewhere(answered);
      else byOwner.set(owner, [...(byOwner.get(owner) ?? []), answered]);
    }
    await Promise.all([...byOwner].map(([owner, directories]) => this.#tellOne(owner, directories)));
  }

  async #tellOne(owner: string, directories: readonly AnsweredReads[]): Promise<void> {
    const { node, peers, log } = this.#parts;
    const call = { method: 'owner-reads', request: { from: node.id, directories } } as const;
    try {
      await peers.call(owner, call, { signal: this.#stop.signal, timeoutSeconds: tellTimeoutSeconds });
    } catch (error) {
      log.debug('an owner was not told of reads', { owner, error });
    }
  }
}
