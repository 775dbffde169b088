import { abortError } from '@millpool/host';
import type { Clock, Log } from '@millpool/host';
import type { OwnerTakeRequest } from '@millpool/protocol';

import type { LocalMetadata } from '../start.ts';
import type { ClusterNode } from './cluster-node.ts';
import type { PreparedMove } from './mover.ts';
import type { Peers } from './peers.ts';

interface Parts {
  readonly node: ClusterNode;
  readonly local: LocalMetadata;
  readonly peers: Peers;
  readonly clock: Clock;
  readonly log: Log;
}

/** Of one page of directories; a shard whose listings take longer moves without the rest. */
const takeTimeoutSeconds = 60;
const copiesAtOnce = 8;

/** Before a shard moves: its next owner copies what is listed of it, while this node answers for it still. */
export function offerListings({ node, local, peers, clock, log }: Parts): PreparedMove {
  return async ({ shard, to, bytesPerSecond }, signal) => {
    const { bytesAName } = bytesPerSecond === null ? { bytesAName: 0 } : await local.directories.kept(signal);
    let [offered, taken] = [0, 0];
    for await (const paths of local.directories.freshIn(shard, signal)) {
      const call = { method: 'owner-take', request: { from: node.id, shard, paths } } as const;
      offered += paths.length;
      taken += (await peers.call(to, call, { signal, timeoutSeconds: takeTimeoutSeconds })).taken;
      if (bytesPerSecond === null) continue;
      const names = paths.reduce((sum, path) => sum + local.directories.namesIn(path), 0);
      await clock.sleep((1_000 * names * bytesAName) / bytesPerSecond, signal);
    }
    if (offered > 0) log.info('listings of a shard that moves were copied', { shard, to, offered, taken });
  };
}

/** How many of them are fresh here now. One that cannot be had is listed when it is asked for. */
export async function takeListings(
  { local, log }: Pick<Parts, 'local' | 'log'>,
  { paths, from }: OwnerTakeRequest,
  signal: AbortSignal,
): Promise<number> {
  let [next, taken] = [0, 0];
  const take = async (): Promise<void> => {
    for (let path = paths[next++]; path !== undefined; path = paths[next++]) {
      if (signal.aborted) throw abortError(signal);
      try {
        await local.directories.ensure({ path, part: null, maxAgeSeconds: null }, signal);
        taken += 1;
      } catch (error) {
        log.debug('the listing of a shard that moves was not copied', { path, from, error });
      }
    }
  };
  await Promise.all(Array.from({ length: copiesAtOnce }, take));
  return taken;
}
