import type { CacheStatus, Policy, SourceHedges } from '@millpool/protocol';

import type { DatasetRoad } from './dataset-road.ts';

/** What the cache can do for one dataset, as its daemon says. */
export interface CacheFacts {
  /** What it may hold of the dataset's attachment. */
  readonly capacityBytes: number;
  /** What it holds of it now. */
  readonly cachedBytes: number;
  readonly policy: Policy;
  readonly state: CacheStatus['state'];
  /** Why nothing is admitted; '' where something is. */
  readonly why: string;
  readonly hedges: SourceHedges;
}

/** Null where nothing is attached at `root` any more, or the daemon does not say. */
export async function cacheFactsOf(root: string, { call }: DatasetRoad): Promise<CacheFacts | null> {
  const status = await call('status', {}).catch(() => null);
  if (status === null) return null;
  const [attachment] = status.attachments
    .filter(({ path }) => path === '/' || root === path || root.startsWith(`${path}/`))
    .toSorted((a, b) => b.path.length - a.path.length);
  if (attachment === undefined) return null;
  const sizeBytes = status.devices.reduce((sum, device) => sum + (device.state === 'failed' ? 0 : device.sizeBytes), 0);
  return {
    capacityBytes: Math.min(sizeBytes, attachment.shareBytes ?? sizeBytes),
    cachedBytes: attachment.cachedBytes,
    policy: attachment.policy,
    state: status.cache.state,
    why: status.cache.why,
    hedges: attachment.hedges,
  };
}
