import type { LadderThresholds } from './ladder-thresholds.ts';

export interface Partitioned {
  readonly names: number;
  /** That the directory has now. */
  readonly partitions: number;
  /** No directory has more partitions than there are shards. */
  readonly shards: number;
  readonly nodes: number;
}

/**
 * How many partitions the names need. Counts are powers of two, or partitions would differ by half; a count that is
 * there and suffices stays as it is. After a change a partition has between a half and all of `namesAimed`, which is
 * far from both thresholds. With `mayMerge` false never fewer than there are.
 */
export function partitionsForNames(of: Partitioned, mayMerge: boolean, by: LadderThresholds): number {
  const fullest = of.names / powerOfTwoBelow(of.partitions);
  const isTooFull = fullest > by.namesMax;
  const isTooEmpty = mayMerge && of.partitions > 1 && fullest < by.namesMin;
  if (!isTooFull && !isTooEmpty) return of.partitions;
  const needed = Math.min(powerOfTwoAbove(of.names / by.namesAimed), powerOfTwoBelow(of.shards));
  return isTooFull ? Math.max(needed, of.partitions) : Math.min(needed, of.partitions);
}

/**
 * How many partitions spread the load over all nodes: not as many as the load seems to need, because at its onset the
 * counters show a part of it only, and a node that has all it can do never shows more than its capacity.
 */
export function partitionsForLoad(of: Partitioned, by: LadderThresholds): number {
  const spread = powerOfTwoAbove(by.partitionsPerNode * of.nodes);
  return Math.max(of.partitions, Math.min(spread, powerOfTwoBelow(of.shards)));
}

/** The part of an evenly read directory that the busiest node has, where partitions are placed evenly over nodes. */
export function busiestShare(partitions: number, nodes: number): number {
  const even = powerOfTwoBelow(partitions);
  return Math.ceil(even / nodes) / even;
}

function powerOfTwoBelow(count: number): number {
  return 2 ** Math.floor(Math.log2(count));
}

function powerOfTwoAbove(count: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(1, count)));
}
