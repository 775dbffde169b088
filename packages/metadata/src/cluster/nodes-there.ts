import type { CoordStore } from '@millpool/coordination';

import { decodeNode, nodePrefix } from './node-record.ts';
import type { NodeRecord } from './node-record.ts';

/** The first nodes of a cluster, in the order of their ids, for one that is not in it yet. */
export async function nodesThere(store: CoordStore, limit: number): Promise<readonly NodeRecord[]> {
  const { entries } = await store.range({ prefix: nodePrefix, limit, after: null });
  return entries.map(decodeNode);
}
