import type { Metadata } from '@millpool/metadata';
import { identityHash } from '@millpool/native';
import type { Engine, SourceTally } from '@millpool/native';
import type { AttachmentStatus, CacheStatus, DeviceStatus, SourceHedges, Status } from '@millpool/protocol';

import { admission, stateOf } from './admission.ts';
import type { AttachedSources } from './attached-sources.ts';
import type { Eviction } from './eviction.ts';
import type { Holders } from './holders.ts';
import type { LeftOut } from './left-out.ts';
import type { Pins } from './pins.ts';
import type { Plans } from './plans.ts';
import type { ReadTally } from './read-tally.ts';
import type { Tiering } from './tiering.ts';

interface Parts {
  readonly engine: Engine;
  readonly metadata: Metadata;
  readonly sources: AttachedSources;
  readonly plans: Plans;
  readonly tally: ReadTally;
  readonly eviction: Eviction;
  readonly tiering: Tiering;
  readonly pins: Pins;
  readonly holders: Holders;
  readonly version: string;
  readonly budgetBytes: number;
  readonly leftOut: readonly LeftOut[];
}

/** One look at the daemon, counted afresh. */
export function statusOf(parts: Parts): Status {
  const { engine, metadata, sources, tally, eviction, version, budgetBytes } = parts;
  const cached = cachedOf(engine);
  const attachments = metadata.attachments().map(({ id, identity, s3, ...told }): AttachmentStatus => ({
    path: told.path,
    source: told.source,
    policy: told.policy,
    compression: told.compression,
    ...(cached.get(identityHash(identity)) ?? { cachedBytes: 0, rawBytes: 0 }),
    shareBytes: eviction.shareOf(identityHash(identity)),
    identityWeak: s3 === null || tally.weak(id),
    hedges: hedgesOf(engine.sourceTally(id)),
    error: sources.errorOf(id),
  }));
  return {
    version,
    pid: process.pid,
    uptimeSeconds: process.uptime(),
    attachments,
    pins: parts.pins.list(),
    devices: devicesOf(parts),
    holders: parts.holders.list(),
    cache: cacheStatus(parts),
    waitSeconds: parts.plans.waitSeconds,
    rssBytes: process.memoryUsage.rss(),
    budgetBytes,
  };
}

/** Of one source's GETs, those that were sent twice. */
export function hedgesOf({ hedges, hedgesWon }: SourceTally): SourceHedges {
  return { sent: hedges, won: hedgesWon };
}

/** By identity. */
function cachedOf(engine: Engine): Map<string, { readonly cachedBytes: number; readonly rawBytes: number }> {
  const cached = new Map<string, { readonly cachedBytes: number; readonly rawBytes: number }>();
  for (const { identity, liveBytes, rawBytes } of engine.segments()) {
    const name = Buffer.from(identity).toString('hex');
    const before = cached.get(name) ?? { cachedBytes: 0, rawBytes: 0 };
    cached.set(name, { cachedBytes: before.cachedBytes + liveBytes, rawBytes: before.rawBytes + rawBytes });
  }
  return cached;
}

function devicesOf({ engine, holders, leftOut }: Parts): readonly DeviceStatus[] {
  const used = engine.devices().map((device, i) => {
    const { path, tier, sizeBytes, usedBytes, reason } = device;
    return { path, tier, sizeBytes, usedBytes, heldBytes: holders.heldBytes(i), state: stateOf(device), reason };
  });
  const without = leftOut.map(({ path, tier, reason }) => {
    return { path, tier, sizeBytes: 0, usedBytes: 0, heldBytes: 0, state: 'failed', reason } as const;
  });
  return [...used, ...without];
}

function cacheStatus({ engine, plans, tally, eviction, tiering, leftOut }: Parts): CacheStatus {
  const counters = engine.counters();
  const { records, recordBytes, sourceBytes, gets, retries, errors, damagedRecords } = counters;
  const { hedges, hedgesWon, hedgedBytes, hedgesHeld, rawBytes } = counters;
  const devices = engine.devices();
  const { state, why } = admission(devices, counters, leftOut);
  return {
    state,
    why,
    records,
    bytes: recordBytes,
    rawBytes,
    hitRatio: tally.samples === 0 ? 0 : Math.max(0, tally.hitSamples - plans.fetchedSamples) / tally.samples,
    samples: tally.samples,
    gets,
    sourceBytes,
    evictedBytes: eviction.evictedBytes,
    copied: eviction.copied,
    ...tiering.moved,
    retries,
    sourceErrors: errors,
    hedges: { sent: hedges, won: hedgesWon, bytes: hedgedBytes, held: hedgesHeld },
    damagedRecords,
  };
}
