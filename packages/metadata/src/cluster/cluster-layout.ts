import type { CoordStore } from '@millpool/coordination';
import { MillpoolError, shardsMax } from '@millpool/protocol';

import { clusterPrefix } from './cluster-key.ts';

/** In the coordination store: what all nodes must agree on; the first of them writes it. */
const layoutKey = `${clusterPrefix}layout`;
const format = 1;

export interface ClusterLayout {
  /** The same for the life of the cluster. */
  readonly shards: number;
}

/** `unsupported` where a newer version made the cluster, `invalid` where it has other shards than were asked for. */
export async function clusterLayout(store: CoordStore, wanted: number | null): Promise<ClusterLayout> {
  const value = Buffer.from(JSON.stringify({ format, shards: wanted ?? shardsMax }));
  await store.txn({
    compare: [{ kind: 'exists', key: layoutKey, exists: false }],
    then: [{ kind: 'put', key: layoutKey, value }],
    otherwise: [],
  });
  const kept = (await store.get(layoutKey))?.value ?? value;
  const { format: theirs, shards } = parsed(kept);
  if (theirs !== format) throw newer(theirs);
  if (shards === undefined || !Number.isSafeInteger(shards) || shards < 1 || shards > shardsMax) throw damaged();
  if (wanted !== null && wanted !== shards) throw otherShards(shards, wanted);
  return { shards };
}

function parsed(value: Uint8Array): { readonly format?: number; readonly shards?: number } {
  try {
    return (JSON.parse(Buffer.from(value).toString()) ?? {}) as { format?: number; shards?: number };
  } catch {
    throw damaged();
  }
}

function newer(theirs: unknown): MillpoolError {
  return new MillpoolError({
    code: 'unsupported',
    message: `the cluster has layout ${String(theirs)}, and this version knows ${format}`,
    remedy: 'Use the version of Millpool that the other nodes have.',
  });
}

function damaged(): MillpoolError {
  return new MillpoolError({
    code: 'corrupt',
    message: `${layoutKey} in the coordination store is damaged`,
    remedy: 'Delete it, and start the first node with the number of shards that the cluster had.',
  });
}

function otherShards(shards: number, wanted: number): MillpoolError {
  return new MillpoolError({
    code: 'invalid',
    message: `the cluster has ${shards} shards, not ${wanted}`,
    remedy: 'Leave the setting out: the first node has fixed it.',
  });
}
