import { randomUUID } from 'node:crypto';

import type { CoordStore, Txn } from '@millpool/coordination';
import { withDeadline } from '@millpool/host';
import type { Clock, Log } from '@millpool/host';
import { MillpoolError } from '@millpool/protocol';
import type {
  ClusterMethod,
  DirectoryMethod,
  Handlers,
  MapMethod,
  RebalancePace,
  RebalanceState,
  RebalanceStatus,
} from '@millpool/protocol';

import { nodesOf, planOf, shardsOf, statusOf } from './cluster-status.ts';
import type { ClusterView } from './cluster-view.ts';
import { drainKey } from './drain-record.ts';
import { encodeMove, moveKey } from './move-record.ts';
import { progressOf } from './rebalance-progress.ts';
import { encodeRebalance, rebalanceKey } from './rebalance-record.ts';
import type { KeptRebalance, RebalanceRecord } from './rebalance-record.ts';
import { reasonOf } from './rebalancer.ts';
import type { ToldContents } from './shard-contents.ts';

const callTimeoutMs = 10_000;
/** Fewer than a transaction may have of operations. */
const changesAtOnce = 40;

interface Parts {
  /** Of this node. */
  readonly id: string;
  readonly view: ClusterView;
  readonly store: CoordStore;
  readonly clock: Clock;
  readonly log: Log;
  /** What is in the shards. */
  readonly contents: (signal: AbortSignal) => Promise<ToldContents>;
}

/** What an operator sees of a cluster and asks of it. All of it is in the coordination store, so any node will do. */
export class ClusterAdmin {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  get handlers(): Handlers<Exclude<ClusterMethod, DirectoryMethod | MapMethod>> {
    return {
      nodes: async () => {
        await this.#refresh();
        const { id: self, view } = this.#parts;
        return { self, shards: view.shards, nodes: nodesOf(view) };
      },
      shards: async () => {
        await this.#refresh();
        return { shards: shardsOf(this.#parts.view) };
      },
      'shards-move': ({ shards, to }) => this.#move(shards, to),
      'rebalance-plan': async (_, { signal }) => {
        await this.#refresh();
        return planOf(this.#parts.view, await this.#parts.contents(signal));
      },
      'rebalance-run': (pace, { signal }) => this.#begin(pace, 'to have shards spread evenly', signal),
      'rebalance-status': async () => {
        const { view, store } = this.#parts;
        // Asked again and again while one runs: a look at all of the cluster costs as much as some moves.
        const kept = await this.#within(() => store.get(rebalanceKey));
        await this.#within(() => view.until(() => (view.rebalance?.modRevision ?? 0) >= (kept?.modRevision ?? 0)));
        const record = view.rebalance;
        return { rebalance: record === null ? null : statusOf(record, view) };
      },
      'rebalance-pause': () => this.#become('paused', ['running']),
      'rebalance-resume': () => this.#become('running', ['paused']),
      'rebalance-cancel': async () => {
        const status = await this.#become('cancelled', ['running', 'paused']);
        await this.#takeBack(reasonOf(status));
        return status;
      },
      drain: ({ node, ...pace }, { signal }) => this.#drain(node, pace, signal),
      undrain: ({ node }) => this.#undrain(node),
    };
  }

  async #move(shards: readonly number[], to: string): Promise<{ asked: number }> {
    const { view, store } = this.#parts;
    await this.#refresh();
    this.#checkTaker(to);
    for (const shard of shards) {
      if (shard >= view.shards) throw noSuchShard(shard, view.shards);
    }
    const value = encodeMove({ to, reason: 'asked for by an operator', bytesPerSecond: null });
    for (let first = 0; first < shards.length; first += changesAtOnce) {
      const then = shards
        .slice(first, first + changesAtOnce)
        .map((shard) => ({ kind: 'put', key: moveKey(shard), value }) as const);
      await this.#within(() => store.txn({ compare: [], then, otherwise: [] }));
    }
    return { asked: shards.length };
  }

  async #drain(node: string, pace: RebalancePace, signal: AbortSignal): Promise<RebalanceStatus> {
    const { view, store } = this.#parts;
    await this.#refresh();
    if (view.node(node) === null && !nodesOf(view).some(({ id }) => id === node)) throw noSuchNode(node, view);
    if (view.takers.every(({ id }) => id === node)) throw lastNode(node);
    const running = view.rebalance;
    if (running !== null && isUnderWay(running)) throw underWay(running);
    const value = Buffer.from(new Date(this.#parts.clock.nowMs()).toISOString());
    await this.#within(() =>
      store.txn({ compare: [], then: [{ kind: 'put', key: drainKey(node), value }], otherwise: [] }),
    );
    return this.#begin(pace, `to drain ${node}`, signal);
  }

  async #undrain(node: string): Promise<{ node: string }> {
    const { view, store } = this.#parts;
    await this.#refresh();
    if (!view.draining.has(node)) throw notDraining(node, view);
    const then = [{ kind: 'delete', key: drainKey(node) }] as const;
    await this.#within(() => store.txn({ compare: [], then, otherwise: [] }));
    await this.#refresh();
    return { node };
  }

  async #begin(pace: RebalancePace, reason: string, signal: AbortSignal): Promise<RebalanceStatus> {
    const { view, clock, log } = this.#parts;
    await this.#refresh();
    const before = view.rebalance;
    if (before !== null && isUnderWay(before)) throw underWay(before);
    const { moves } = planOf(view, await this.#parts.contents(signal));
    const startedAt = new Date(clock.nowMs()).toISOString();
    const id = randomUUID().slice(0, 8);
    const record: RebalanceRecord = {
      id,
      state: 'running',
      reason,
      startedAt,
      endedAt: null,
      outcome: null,
      ...pace,
      moves,
    };
    if (!(await this.#put(record, before?.modRevision ?? 0))) throw changedMeanwhile();
    log.info('a rebalance begins', { rebalance: id, moves: moves.length, ...pace, reason });
    return statusOf(record, view);
  }

  async #become(state: RebalanceState, from: readonly RebalanceState[]): Promise<RebalanceStatus> {
    const { view, clock, log } = this.#parts;
    await this.#refresh();
    const record = view.rebalance;
    if (record === null || !from.includes(record.state)) throw notInState(record, from);
    const { done, skipped } = progressOf(record, view);
    const end = { endedAt: new Date(clock.nowMs()).toISOString(), outcome: { done, skipped } };
    const next = { ...record, state, ...(state === 'cancelled' ? end : {}) };
    if (!(await this.#put(next, record.modRevision))) throw changedMeanwhile();
    log.info('a rebalance was changed', { rebalance: record.id, state });
    return statusOf(next, view);
  }

  async #put(record: RebalanceRecord, modRevision: number): Promise<boolean> {
    const txn: Txn = {
      compare: [{ kind: 'mod-revision', key: rebalanceKey, modRevision }],
      then: [{ kind: 'put', key: rebalanceKey, value: encodeRebalance(record) }],
      otherwise: [],
    };
    return (await this.#within(() => this.#parts.store.txn(txn))).succeeded;
  }

  /** Requests that no owner has answered yet. */
  async #takeBack(reason: string): Promise<void> {
    await this.#refresh();
    const asked = [...this.#parts.view.moves].filter(([, move]) => move.reason === reason);
    for (const [shard, { modRevision }] of asked) {
      const key = moveKey(shard);
      await this.#within(() =>
        this.#parts.store.txn({
          compare: [{ kind: 'mod-revision', key, modRevision }],
          then: [{ kind: 'delete', key }],
          otherwise: [],
        }),
      );
    }
  }

  #checkTaker(to: string): void {
    const { view } = this.#parts;
    if (view.node(to)?.roles.includes('metadata') !== true) throw noSuchNode(to, view);
  }

  #refresh(): Promise<void> {
    return this.#within(() => this.#parts.view.refresh());
  }

  #within<T>(call: () => Promise<T>): Promise<T> {
    return withDeadline({ name: 'the coordination store', timeoutMs: callTimeoutMs, clock: this.#parts.clock }, call);
  }
}

function isUnderWay({ state }: KeptRebalance): boolean {
  return state === 'running' || state === 'paused';
}

function underWay({ id, state, reason }: KeptRebalance): MillpoolError {
  return new MillpoolError({
    code: 'exists',
    message: `rebalance ${id}, ${reason}, is ${state}`,
    remedy: 'Wait for it with `millpool admin rebalance status --wait`, or cancel it.',
  });
}

function notInState(record: KeptRebalance | null, states: readonly RebalanceState[]): MillpoolError {
  return new MillpoolError({
    code: record === null ? 'not-found' : 'invalid',
    message: record === null ? 'there has been no rebalance' : `rebalance ${record.id} is ${record.state}`,
    remedy: `Only one that is ${states.join(' or ')} can be changed so.`,
  });
}

function changedMeanwhile(): MillpoolError {
  return new MillpoolError({
    code: 'exists',
    message: 'somebody else changed the rebalance at the same moment',
    remedy: 'See `millpool admin rebalance status`, and try again.',
  });
}

function noSuchShard(shard: number, shards: number): MillpoolError {
  return new MillpoolError({
    code: 'not-found',
    message: `there is no shard ${shard}`,
    remedy: `This cluster has shards 0 to ${shards - 1}.`,
  });
}

function noSuchNode(id: string, view: ClusterView): MillpoolError {
  const serving = view.serving.map((node) => node.id);
  return new MillpoolError({
    code: 'not-found',
    message: `no node ${id} that serves metadata is in the cluster`,
    remedy: `There are ${serving.join(', ')}; \`millpool admin nodes\` shows more.`,
  });
}

function notDraining(id: string, view: ClusterView): MillpoolError {
  const draining = [...view.draining].sort();
  return new MillpoolError({
    code: 'not-found',
    message: `${id} is not being drained`,
    remedy: draining.length === 0 ? 'No node is; see `millpool admin nodes`.' : `There are ${draining.join(', ')}.`,
  });
}

function lastNode(id: string): MillpoolError {
  return new MillpoolError({
    code: 'invalid',
    message: `${id} is the last node that may have shards`,
    remedy: 'Start another, or undrain one, before this one is drained.',
  });
}
