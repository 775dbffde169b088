export { ClusterNode, leaseTimes } from './cluster-node.ts';
export type { ClusterNodeConfig } from './cluster-node.ts';
export { ClusterView } from './cluster-view.ts';
export type { OwnedShard } from './cluster-view.ts';
export { encodeMove, moveKey, movePrefix } from './move-record.ts';
export type { MoveRecord } from './move-record.ts';
export { rebalancePlanOf } from './rebalance-plan.ts';
export type { Ownership, PlannedMove } from './rebalance-plan.ts';
export type { NodeRecord } from './node-record.ts';
