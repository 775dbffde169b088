import type { CoordStore, Txn } from '@millpool/coordination';
import { withDeadline } from '@millpool/host';
import type { Clock, Log } from '@millpool/host';

import { homeOfId } from '../directory.ts';
import type { HeatCounter } from '../heat/heat-counter.ts';
import { decide } from '../heat/ladder.ts';
import type { Decision } from '../heat/ladder.ts';
import { ladderThresholds } from '../heat/ladder-thresholds.ts';
import { groundStand } from '../heat/stand.ts';
import type { Stand } from '../heat/stand.ts';
import type { Home } from '../home.ts';
import type { LocalMetadata } from '../start.ts';
import type { ClusterNode } from './cluster-node.ts';
import type { OwnedShard } from './cluster-view.ts';
import { directoryRecordKey, encodeDirectoryRecord } from './directory-record.ts';
import type { KeptDirectory } from './directory-record.ts';
import { placedParts } from './placed-parts.ts';
import { shardKey } from './shard-record.ts';

interface Parts {
  readonly node: ClusterNode;
  readonly local: LocalMetadata;
  readonly heat: HeatCounter;
  readonly store: CoordStore;
  readonly clock: Clock;
  readonly log: Log;
  /** Reads of one directory a second from which something is done; 0: nothing ever is. */
  readonly hotReadsPerS: number;
}

const everyMs = 1_000;
const candidatesMax = 64;
const callTimeoutMs = 5_000;
/** What is fresh for less time would be copied all the time. */
const freshSecondsMin = 5;

/**
 * Sees to it that what the load of a directory needs is done, for the directories that have their homes at this node.
 * What is done is a record in the coordination store, which all nodes follow.
 */
export class DirectoryWarden {
  readonly #parts: Parts;
  /** As of a revision of the directory's record, 0 for none: one that an operator changed, say, begins anew. */
  readonly #stands = new Map<string, { readonly stand: Stand; readonly modRevision: number }>();
  readonly #stop = new AbortController();
  readonly #ended: Promise<void>;

  private constructor(parts: Parts) {
    this.#parts = parts;
    this.#ended = parts.hotReadsPerS > 0 ? this.#run() : Promise.resolve();
  }

  static start(parts: Parts): DirectoryWarden {
    return new DirectoryWarden(parts);
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#ended;
  }

  async #run(): Promise<void> {
    const { clock } = this.#parts;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await clock.sleep(everyMs, signal).catch(() => undefined);
      if (!signal.aborted) await this.#look();
    }
  }

  async #look(): Promise<void> {
    const { heat, node, local } = this.#parts;
    const paths = new Set(heat.hottest(candidatesMax).map(({ directory }) => directory));
    for (const kept of node.view.directories) {
      const isAttached = local.homeOf(kept.path, 'listing')?.directory === kept.id;
      if (isAttached) paths.add(kept.path);
      else await this.#unlessItFails(kept.path, () => this.#drop(kept));
    }
    for (const path of paths) await this.#unlessItFails(path, () => this.#judge(path));
  }

  /** One that fails, or has to wait, keeps no others from it. */
  async #unlessItFails(path: string, act: () => Promise<void>): Promise<void> {
    const { signal } = this.#stop;
    if (signal.aborted) return;
    await act().catch((error: unknown) => {
      if (!signal.aborted) this.#parts.log.warn('nothing is done for the load of a directory yet', { path, error });
    });
  }

  /** Its attachment is gone. */
  async #drop(kept: KeptDirectory): Promise<void> {
    const { node, log } = this.#parts;
    const shard = homeOfId(kept.id, node.view.shards);
    const owned = node.termOf(shard) === null ? null : node.view.ownerOf(shard);
    if (owned === null) return;
    const home = { attachment: kept.attachment, shard, directory: kept.id };
    const { revision } = await this.#within((store) => store.txn(changeOf({ home, owned, kept }, null)));
    log.info('the load of a directory', { path: kept.path, rung: 'none', reason: 'it is not attached any more' });
    await this.#within(() => node.view.reach(revision));
  }

  async #judge(path: string): Promise<void> {
    const { node, local, clock } = this.#parts;
    const home = local.homeOf(path, 'listing');
    const owned = home === null || node.termOf(home.shard) === null ? null : node.view.ownerOf(home.shard);
    if (home === null || owned === null) {
      this.#stands.delete(path);
      return;
    }
    const kept = node.view.directory(home.directory);
    if (kept?.isPinned === true) return;
    const nowMs = clock.monotonicMs();
    const decision = this.#decisionOn(path, kept, nowMs);
    const { stand, isChange, partitions } = decision;
    let modRevision = kept?.modRevision ?? 0;
    if (isChange) modRevision = await this.#carryOut(decision, { path, home, owned, kept });
    if (stand.rung === 'none' && partitions === 1) this.#stands.delete(path);
    else this.#stands.set(path, { stand, modRevision });
  }

  #decisionOn(path: string, kept: KeptDirectory | null, nowMs: number): Decision {
    const { heat, local, node, hotReadsPerS } = this.#parts;
    const { readsPerS = 0, callers = 0, hottestEntry = null } = heat.of(path) ?? {};
    const isCopyable = local.directories.age(path, null).limitSeconds >= freshSecondsMin;
    const known = this.#stands.get(path);
    const stand = known?.modRevision === (kept?.modRevision ?? 0) ? known.stand : standOf(kept, nowMs);
    const measured = {
      readsPerS: isCopyable ? readsPerS : 0,
      writesPerS: 0,
      callers,
      hottestEntry: isCopyable ? hottestEntry : null,
      capacityPerS: hotReadsPerS / ladderThresholds.hotShare,
      names: local.directories.namesIn(path),
      partitions: kept?.shards.length ?? 1,
      shards: node.view.shards,
      nodes: node.view.takers.length,
    };
    return decide(stand, measured, nowMs);
  }

  async #carryOut(
    { stand, partitions, reason }: Decision,
    of: {
      readonly path: string;
      readonly home: Home;
      readonly owned: OwnedShard;
      readonly kept: KeptDirectory | null;
    },
  ): Promise<number> {
    const { node, clock, log } = this.#parts;
    const { path, home, kept } = of;
    const shards = placedParts(node.view, home, partitions);
    const since = new Date(clock.nowMs()).toISOString();
    const { attachment } = home;
    const { rung, entry } = stand;
    const record = { attachment, path, rung, entry, shards, since, reason, isPinned: false };
    const isDropped = rung === 'none' && partitions === 1;
    const { succeeded, revision } = await this.#within((store) =>
      store.txn(changeOf(of, isDropped ? null : encodeDirectoryRecord(record))),
    );
    if (!succeeded) throw new Error(`the record of ${path} was changed meanwhile`);
    log.info('the load of a directory', { path, rung, partitions, before: kept?.rung ?? 'none', reason });
    await this.#within(() => node.view.reach(revision));
    return revision;
  }

  #within<T>(call: (store: CoordStore) => Promise<T>): Promise<T> {
    const { store, clock } = this.#parts;
    const wait = { name: 'the record of a directory', timeoutMs: callTimeoutMs, clock };
    return withDeadline(wait, () => call(store));
  }
}

function standOf(kept: KeptDirectory | null, nowMs: number): Stand {
  return { ...groundStand(nowMs), rung: kept?.rung ?? 'none', entry: kept?.entry ?? null };
}

/** Only the owner of its home changes a directory's record, and only from what it knows. */
function changeOf(
  of: { readonly home: Home; readonly owned: OwnedShard; readonly kept: KeptDirectory | null },
  value: Uint8Array | null,
): Txn {
  const key = directoryRecordKey(of.home.directory);
  return {
    compare: [
      { kind: 'mod-revision', key, modRevision: of.kept?.modRevision ?? 0 },
      { kind: 'mod-revision', key: shardKey(of.home.shard), modRevision: of.owned.modRevision },
    ],
    then: [value === null ? { kind: 'delete', key } : { kind: 'put', key, value }],
    otherwise: [],
  };
}
