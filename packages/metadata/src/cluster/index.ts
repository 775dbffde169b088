export { ClusterNode, leaseTimes } from './cluster-node.ts';
export type { ClusterNodeConfig } from './cluster-node.ts';
export { ClusterView } from './cluster-view.ts';
export type { OwnedShard } from './cluster-view.ts';
export type { NodeRecord } from './node-record.ts';
