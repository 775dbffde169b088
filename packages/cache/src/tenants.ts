import type { Clock } from '@millpool/host';
import type { Metadata } from '@millpool/metadata';
import { identityHash } from '@millpool/native';
import type { Engine, TenantStatus } from '@millpool/native';
import type { Policy } from '@millpool/protocol';

import type { Plans } from './plans.ts';
import { RecentRate } from './recent-rate.ts';

/** Whose records lie in segments, under one identity: an attachment, or several of one bucket. */
export interface Tenant {
  /** As segments carry it. */
  readonly identity: string;
  /** Null: nobody's any more, since what was attached is detached. */
  readonly policy: Policy | null;
  /** In segments of the fast tier, and on the way there. */
  readonly hasBytes: number;
  /** All that it could use; `Infinity` where nobody knows. */
  readonly needBytes: number;
  /** Something of it was fetched just now and not kept, for want of room. */
  readonly wants: boolean;
  /** More of it comes in, or would. */
  readonly isFilling: boolean;
  readonly bytesPerSecond: number | null;
  /** Since anything of it was read or fetched, in this run of the daemon. */
  readonly idleMs: number;
}

/** Somebody is to find it here. */
export function isInUse({ policy, idleMs: idle }: Tenant, idleMs: number): boolean {
  return policy !== null && policy !== 'stream' && idle < idleMs;
}

/** Of one identity, between two looks. */
interface Row {
  before: TenantStatus;
  readonly rate: RecentRate;
  activeMs: number;
  declinedMs: number;
}

/** What was declined so long ago is wanted still. */
const wantMs = 3_000;
/** Who was declined less than this ago may have use for more than it has. */
const hungryMs = 60_000;
/** What is stored of a byte, with footers, headers and padding, in a dataset of small files. */
export const storedShare = 1.02;
/** Of two attachments of one bucket, the policy that gives up less. */
const mildestFirst: readonly Policy[] = ['keep', 'auto', 'order', 'sieve', 'stream'];

interface Parts {
  readonly engine: Engine;
  readonly metadata: Metadata;
  readonly plans: Plans;
  readonly clock: Clock;
}

/** Looks at who reads what, again and again, and says how each stands. */
export class Tenants {
  readonly #parts: Parts;
  readonly #rows = new Map<string, Row>();
  /** What each load under way is to bring, by identity. */
  readonly #loads = new Set<ReadonlyMap<string, number>>();
  #lookedMs: number;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#lookedMs = parts.clock.monotonicMs();
  }

  /** A load is to bring so many bytes of these identities, with what is there of them. Gives what ends that. */
  expect(bytes: ReadonlyMap<string, number>): () => void {
    this.#loads.add(bytes);
    return () => void this.#loads.delete(bytes);
  }

  /** What loads under way are to bring of an identity, as it is at its source. */
  loadBytes(identity: string): number {
    return [...this.#loads].reduce((sum, bytes) => sum + (bytes.get(identity) ?? 0), 0);
  }

  look(): readonly Tenant[] {
    const { engine, metadata, plans, clock } = this.#parts;
    const nowMs = clock.monotonicMs();
    const seconds = (nowMs - this.#lookedMs) / 1000;
    this.#lookedMs = nowMs;
    const chosen = policiesOf(metadata);
    const planned = plans.datasetBytes();
    return engine.tenants().map((status): Tenant => {
      const { identity, storedBytes, queuedBytes } = status;
      const row = this.#update(status, seconds, nowMs);
      const hasBytes = storedBytes + queuedBytes;
      const plannedBytes = (planned.get(identity) ?? 0) * storedShare;
      const hungry = nowMs - row.declinedMs < hungryMs;
      return {
        identity,
        policy: chosen.get(identity) ?? null,
        hasBytes,
        needBytes: plannedBytes > hasBytes ? plannedBytes : hungry ? Infinity : hasBytes,
        wants: nowMs - row.declinedMs < wantMs,
        isFilling: nowMs - row.declinedMs < wantMs || queuedBytes > 0,
        bytesPerSecond: row.rate.perSecond,
        idleMs: nowMs - row.activeMs,
      };
    });
  }

  #update(status: TenantStatus, seconds: number, nowMs: number): Row {
    const row = this.#rows.get(status.identity);
    if (row === undefined) {
      const fresh = { before: status, rate: new RecentRate(), activeMs: nowMs, declinedMs: -Infinity };
      this.#rows.set(status.identity, fresh);
      return fresh;
    }
    const { before, rate } = row;
    const readBytes = status.readBytes - before.readBytes;
    // Its life begins with its first read: what was before says nothing of how fast it reads.
    if (readBytes > 0 || rate.perSecond !== null) rate.add(readBytes, seconds);
    if (status.declinedBytes > before.declinedBytes) row.declinedMs = nowMs;
    const hasBytes = (of: TenantStatus): number => of.storedBytes + of.slowBytes;
    const fetched = status.queuedBytes > 0 || hasBytes(status) > hasBytes(before);
    if (readBytes > 0 || fetched || row.declinedMs === nowMs) row.activeMs = nowMs;
    row.before = status;
    return row;
  }
}

function policiesOf(metadata: Metadata): Map<string, Policy> {
  const chosen = new Map<string, Policy>();
  for (const { identity, policy } of metadata.attachments()) {
    const name = identityHash(identity);
    const other = chosen.get(name);
    if (other === undefined || mildestFirst.indexOf(policy) < mildestFirst.indexOf(other)) chosen.set(name, policy);
  }
  return chosen;
}
