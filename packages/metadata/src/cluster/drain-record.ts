import { clusterPrefix } from './cluster-key.ts';

/** In the coordination store: `cluster/drain/ID` keeps shards from a node, whether it is there or not. */
export const drainPrefix = `${clusterPrefix}drain/`;

export function drainKey(id: string): string {
  return drainPrefix + id;
}
