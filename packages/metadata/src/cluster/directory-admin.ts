import type { CoordStore, Txn } from '@millpool/coordination';
import { withDeadline } from '@millpool/host';
import type { Clock, Log } from '@millpool/host';
import { hotDirectoriesMax, MillpoolError } from '@millpool/protocol';
import type { DirectoryMethod, DirectorySetRequest, DirectoryStatus, Handlers } from '@millpool/protocol';

import { ladderThresholds } from '../heat/ladder-thresholds.ts';
import { partitionsForLoad } from '../heat/partition-need.ts';
import type { Home } from '../home.ts';
import { noSuchPath } from '../resolved-entry.ts';
import type { LocalMetadata } from '../start.ts';
import type { ClusterNode } from './cluster-node.ts';
import { directoryRecordKey, encodeDirectoryRecord } from './directory-record.ts';
import type { DirectoryRecord } from './directory-record.ts';
import { homeOf } from './hot-directories.ts';
import type { HotDirectories } from './hot-directories.ts';
import { placedParts } from './placed-parts.ts';

interface Parts {
  readonly node: ClusterNode;
  readonly local: LocalMetadata;
  readonly hot: HotDirectories;
  readonly store: CoordStore;
  readonly clock: Clock;
  readonly log: Log;
}

const callTimeoutMs = 10_000;
const reason = 'asked for by an operator';

/** What an operator sees of directories and has done for their load; any node will do. */
export class DirectoryAdmin {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  get handlers(): Handlers<DirectoryMethod> {
    return {
      dirs: ({ limit }, { signal }) => this.#parts.hot.list(limit, signal),
      directory: async ({ path }, { signal }) => {
        await this.#within(() => this.#parts.node.view.refresh());
        return this.#status(path, signal);
      },
      'directory-set': async (request, { signal }) => {
        await this.#within(() => this.#parts.node.view.refresh());
        await this.#set(request);
        return this.#status(request.path, signal);
      },
    };
  }

  async #status(path: string, signal: AbortSignal): Promise<DirectoryStatus> {
    const { node, hot } = this.#parts;
    const { shard, directory } = this.#homeOf(path);
    const { directories, missing } = await hot.list(hotDirectoriesMax, signal);
    const heat = directories.find((one) => one.directory === path);
    const kept = node.view.directory(directory);
    const idle = { readsPerS: 0, writesPerS: 0, callers: 0, hottestEntry: null, unseenPerS: 0 };
    const ownerOf = (of: number): string | null => node.view.ownerOf(of)?.owner ?? null;
    return {
      ...(heat ?? idle),
      ...homeOf(this.#parts, path),
      directory: path,
      isPinned: kept?.isPinned ?? false,
      since: kept?.since ?? null,
      reason: kept?.reason ?? null,
      parts: (kept?.shards ?? [shard]).map((of) => ({ shard: of, owner: ownerOf(of) })),
      missing,
    };
  }

  async #set({ path, rung, parts }: DirectorySetRequest): Promise<void> {
    const { node, store, clock, log } = this.#parts;
    const home = this.#homeOf(path);
    const key = directoryRecordKey(home.directory);
    const kept = node.view.directory(home.directory);
    const entry = rung === null ? (kept?.entry ?? null) : null;
    const chosen = { rung: rung ?? kept?.rung ?? 'none', entry, isPinned: rung !== null };
    const isDropped = chosen.rung === 'none' && !chosen.isPinned;
    const record: DirectoryRecord = {
      ...{ attachment: home.attachment, path, ...chosen, reason },
      shards: rung === null ? (kept?.shards ?? [home.shard]) : this.#shardsOf(home, rung === 'split', parts),
      since: new Date(clock.nowMs()).toISOString(),
    };
    const txn: Txn = {
      compare: [{ kind: 'mod-revision', key, modRevision: kept?.modRevision ?? 0 }],
      then: [isDropped ? { kind: 'delete', key } : { kind: 'put', key, value: encodeDirectoryRecord(record) }],
      otherwise: [],
    };
    const { succeeded, revision } = await this.#within(() => store.txn(txn));
    if (!succeeded) throw changedMeanwhile(path);
    log.info('the load of a directory', { path, ...chosen, partitions: record.shards.length, reason });
    await this.#within(() => node.view.reach(revision));
  }

  #shardsOf(home: Home, isSplit: boolean, wanted: number | null): number[] {
    const { view } = this.#parts.node;
    if (!isSplit) return [home.shard];
    const of = { names: 0, partitions: 1, shards: view.shards, nodes: view.takers.length };
    const count = wanted ?? partitionsForLoad(of, ladderThresholds);
    if (count > view.shards || (count & (count - 1)) !== 0) throw badParts(count, view.shards);
    return placedParts(view, home, count);
  }

  #homeOf(path: string): Home {
    const home = this.#parts.local.homeOf(path, 'listing');
    if (home === null) throw noSuchPath(path);
    return home;
  }

  #within<T>(call: () => Promise<T>): Promise<T> {
    return withDeadline({ name: 'the coordination store', timeoutMs: callTimeoutMs, clock: this.#parts.clock }, call);
  }
}

function badParts(count: number, shards: number): MillpoolError {
  return new MillpoolError({
    code: 'invalid',
    message: `a directory cannot have ${count} parts`,
    remedy: `Take a power of two up to the ${shards} shards of the cluster.`,
  });
}

function changedMeanwhile(path: string): MillpoolError {
  return new MillpoolError({
    code: 'exists',
    message: 'its owner, or another operator, changed it at the same moment',
    remedy: `See \`millpool admin dirs show ${path}\`, and try again.`,
    path,
  });
}
