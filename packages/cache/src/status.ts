import type { Metadata } from '@millpool/metadata';
import { identityHash } from '@millpool/native';
import type { Engine } from '@millpool/native';
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
  const open = devices.filter((device) => device.state === 'ok');
  const dead = devices.filter((device) => device.state === 'failed').map((device) => device.path);
  const failed = dead.length === 0 ? '' : `${dead.join(', ')} gave I/O errors and is left alone. `;
  const full = 'Nothing more is admitted: free something with `millpool free`, or give it more room with --size.';
  const state = open.length > 0 ? 'on' : dead.length === devices.length ? 'off' : 'full';
  return {
    state,
    why:
      state === 'on'
        ? failed.trim()
        : state === 'off'
          ? `${failed}Replace the device or name another with --data.`
          : failed + full,
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
