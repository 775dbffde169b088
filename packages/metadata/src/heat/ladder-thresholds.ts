/** When a directory climbs the ladder, and when it comes down again. Shares of a node are parts of its capacity. */
export interface LadderThresholds {
  /** Share of a node that a directory may take before something is done. */
  readonly hotShare: number;
  /** Share of a node that a rung must leave to the owners if a cheaper one is to be preferred. */
  readonly aimedShare: number;
  /** Share of a node below which a directory is cool. */
  readonly coolShare: number;
  /** Least time on a rung before another takes its place while the directory is hot: what it did must show first. */
  readonly settleMs: number;
  /** Time for which it must be cool without a break before it comes down. */
  readonly coolMs: number;
  /** Fewer callers than these get no publication and no replica: one that reads all it can is no crowd. */
  readonly callersMin: number;
  /** Writes a read: with more, no publication is begun; with more than `publishWritesMax`, one ends. */
  readonly publishWrites: number;
  readonly publishWritesMax: number;
  /** Names in a directory that is published; each takes about 50 bytes on each cache daemon. */
  readonly publishNamesMax: number;
  /** Share of the reads that one entry must have to get replicas; less, and noise could tell which entry is the one. */
  readonly replicateReads: number;
  /** Writes to the directory a read of its hottest entry: as above, for replicas of that entry. */
  readonly replicateWrites: number;
  readonly replicateWritesMax: number;
  /** Names in a partition: with more it is split, and with less than `namesMin` merged, to `namesAimed` or less. */
  readonly namesMax: number;
  readonly namesAimed: number;
  readonly namesMin: number;
  /** Partitions a node when a directory is split for its load. */
  readonly partitionsPerNode: number;
}

export const ladderThresholds: LadderThresholds = {
  hotShare: 0.4,
  aimedShare: 0.25,
  coolShare: 0.1,
  settleMs: 30_000,
  coolMs: 300_000,
  callersMin: 2,
  publishWrites: 0.01,
  publishWritesMax: 0.04,
  publishNamesMax: 4_194_304,
  replicateReads: 0.67,
  replicateWrites: 0.1,
  replicateWritesMax: 0.4,
  namesMax: 4_194_304,
  namesAimed: 2_097_152,
  namesMin: 524_288,
  partitionsPerNode: 4,
};
