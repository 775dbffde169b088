import type { Metadata } from '@millpool/metadata';
import { identityHash } from '@millpool/native';
import type { DeviceStatus, Engine } from '@millpool/native';
import type { AttachmentStatus, CacheStatus, Status } from '@millpool/protocol';

import type { AttachedSources } from './attached-sources.ts';
import type { Plans } from './plans.ts';
import type { ReadTally } from './read-tally.ts';

interface Parts {
  readonly engine: Engine;
  readonly metadata: Metadata;
  readonly sources: AttachedSources;
  readonly plans: Plans;
  readonly tally: ReadTally;
  readonly version: string;
  readonly budgetBytes: number;
}

/** One look at the daemon, counted afresh. */
export function statusOf(parts: Parts): Status {
  const { engine, metadata, sources, tally, version, budgetBytes } = parts;
  const liveBytes = new Map<string, number>();
  for (const segment of engine.segments()) {
    const name = Buffer.from(segment.identity).toString('hex');
    liveBytes.set(name, (liveBytes.get(name) ?? 0) + segment.liveBytes);
  }
  const attachments = metadata.attachments().map(({ id, path, source, policy, identity, s3 }): AttachmentStatus => ({
    path,
    source,
    policy,
    cachedBytes: liveBytes.get(identityHash(identity)) ?? 0,
    identityWeak: s3 === null || tally.weak(id),
    error: sources.errorOf(id),
  }));
  return {
    version,
    pid: process.pid,
    uptimeSeconds: process.uptime(),
    attachments,
    devices: engine.devices().map(({ path, sizeBytes, usedBytes, state }) => ({ path, sizeBytes, usedBytes, state })),
    cache: cacheStatus(parts),
    rssBytes: process.memoryUsage.rss(),
    budgetBytes,
  };
}

function cacheStatus({ engine, plans, tally }: Parts): CacheStatus {
  const { records, recordBytes, sourceBytes, gets, retries, errors, damagedRecords } = engine.counters();
  const devices = engine.devices();
  const { state, why } = admission(devices);
  return {
    state,
    why,
    records,
    bytes: recordBytes,
    hitRatio: tally.samples === 0 ? 0 : Math.max(0, tally.hitSamples - plans.fetchedSamples) / tally.samples,
    samples: tally.samples,
    gets,
    sourceBytes,
    retries,
    sourceErrors: errors,
    damagedRecords,
  };
}

/** Whether anything is admitted, and why not. */
function admission(devices: readonly DeviceStatus[]): Pick<CacheStatus, 'state' | 'why'> {
  const dead = devices.filter((device) => device.state === 'failed').map((device) => device.path);
  const failed = dead.length === 0 ? '' : `${dead.join(', ')} gave I/O errors and is left alone. `;
  if (devices.some((device) => device.state === 'ok')) return { state: 'on', why: failed.trim() };
  if (dead.length === devices.length)
    return { state: 'off', why: `${failed}Replace the device or name another with --data.` };
  const reasons = devices.filter((device) => device.state === 'full').map((device) => device.reason);
  const remedy = 'free something with `millpool free`, or give it more room with --size.';
  return { state: 'full', why: `${failed}Nothing more is admitted, since ${reasons.join(', and ')}: ${remedy}` };
}
