import { HeldLease } from '@millpool/coordination';
import type { CoordStore, LeaseTimes } from '@millpool/coordination';
import { withDeadline } from '@millpool/host';
import type { Clock, Log } from '@millpool/host';
import { asMillpoolError, MillpoolError } from '@millpool/protocol';

import { awayKey, encodeAway } from './away-record.ts';
import { encodeNode, nodeKey } from './node-record.ts';
import type { NodeRecord } from './node-record.ts';

const retryMs = 500;
const joinTimeoutMs = 5_000;
const awayTimeoutMs = 2_000;

interface Parts {
  readonly node: Omit<NodeRecord, 'joinedAt'>;
  readonly store: CoordStore;
  readonly clock: Clock;
  readonly log: Log;
  readonly times: LeaseTimes;
  /** Awaited after each joining, before the node acts on it: what it knows may be from before it was put out. */
  readonly onJoined: () => Promise<void>;
}

/**
 * A node's place in the cluster: its record lives by its lease, and nobody gives its shards away while that record is
 * there. A node that was put out, as it was frozen or cut off, joins again.
 */
export class Membership {
  readonly #parts: Parts;
  readonly #stop = new AbortController();
  /** Null while it is not a member, or does not know yet what became of its shards. */
  #lease: HeldLease | null = null;
  /** Of the record that it wrote last; 0 before. */
  #revision = 0;
  #ended: Promise<void> = Promise.resolve();

  private constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Rejects with `exists` where a living node has this id: one that outlives the lease of a former run of this one. */
  static async join(parts: Parts): Promise<Membership> {
    const { clock, times } = parts;
    const membership = new Membership(parts);
    const deadlineMs = clock.monotonicMs() + 2 * times.ttlSeconds * 1_000;
    for (;;) {
      try {
        const lease = await membership.#joinOnce();
        membership.#ended = membership.#stay(lease);
        return membership;
      } catch (error) {
        if (asMillpoolError(error).code !== 'exists' || clock.monotonicMs() >= deadlineMs) throw error;
        await clock.sleep(retryMs);
      }
    }
  }

  get id(): string {
    return this.#parts.node.id;
  }

  /** Whether the node may act as a member, now. */
  get isClear(): boolean {
    return !this.#stop.signal.aborted && (this.#lease?.isClearlyAlive ?? false);
  }

  /** Gives up its place. Others may have its shards at once, or after so long, unless it is there again by then. */
  async leave(graceMs = 0): Promise<void> {
    this.#stop.abort();
    // It may have been joining again just now.
    await this.#ended;
    if (graceMs > 0 && this.#lease !== null) await this.#announce(graceMs);
    await this.#lease?.release();
    this.#lease = null;
  }

  async #announce(graceMs: number): Promise<void> {
    const { store, clock, log, node } = this.#parts;
    const wait = { name: 'the cluster to know that the node comes back', timeoutMs: awayTimeoutMs, clock };
    const value = encodeAway({ until: new Date(clock.nowMs() + graceMs).toISOString() });
    try {
      await withDeadline(wait, async () => {
        const { id: lease } = await store.grantLease(Math.ceil(graceMs / 1_000));
        const put = { kind: 'put', key: awayKey(node.id), value, lease } as const;
        await store.txn({ compare: [], then: [put], otherwise: [] });
      });
    } catch (error) {
      log.warn('others take over the shards of this node at once', { error });
    }
  }

  async #stay(first: HeldLease): Promise<void> {
    const { clock, log } = this.#parts;
    const { signal } = this.#stop;
    for (let lease: HeldLease | null = first; !signal.aborted;) {
      if (lease !== null) await ended(AbortSignal.any([lease.ended, signal]));
      if (signal.aborted) return;
      this.#lease = null;
      try {
        lease = await this.#joinOnce();
      } catch (error) {
        lease = null;
        log.warn('the cluster cannot be joined', { error });
        await clock.sleep(retryMs, signal).catch(() => undefined);
      }
    }
  }

  async #joinOnce(): Promise<HeldLease> {
    const { store, clock, log, times, node, onJoined } = this.#parts;
    const lease = await HeldLease.grant({ store, clock, log, times });
    try {
      const value = encodeNode({ ...node, joinedAt: new Date(clock.nowMs()).toISOString() });
      const key = nodeKey(node.id);
      const wait = { name: 'the cluster to take the node in', timeoutMs: joinTimeoutMs, clock };
      const put = { kind: 'put', key, value, lease: lease.id } as const;
      const then = [put, { kind: 'delete', key: awayKey(node.id) } as const];
      // A record of ours that is there yet, as a store that was away gives all leases their time again: while it was,
      // nobody was given our shards.
      const { succeeded, revision } = await withDeadline(wait, async () => {
        const ours = { kind: 'mod-revision', key, modRevision: this.#revision } as const;
        const again = await store.txn({ compare: [ours], then, otherwise: [] });
        const absent = { kind: 'exists', key, exists: false } as const;
        return again.succeeded ? again : store.txn({ compare: [absent], then, otherwise: [] });
      });
      if (!succeeded) throw existsError(node.id);
      this.#revision = revision;
      await withDeadline(wait, onJoined);
      this.#lease = lease;
      return lease;
    } catch (error) {
      await lease.release();
      throw asMillpoolError(error);
    }
  }
}

function ended(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}

function existsError(id: string): MillpoolError {
  return new MillpoolError({
    code: 'exists',
    message: `a node with the id ${id} is in the cluster already`,
    remedy: 'Wait 6 s if it has just ended; else give this one a state directory of its own.',
  });
}
