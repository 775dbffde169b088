import type { Partitioned } from './partition-need.ts';

/** A directory as all who serve it see it, caches and replicas included: else one that is published looks cool. */
export interface Measured extends Partitioned {
  readonly readsPerS: number;
  readonly writesPerS: number;
  readonly callers: number;
  readonly hottestEntry: { readonly nameHash: number; readonly readsPerS: number } | null;
  /** Operations a second that one node can serve, as they come; more than 0. */
  readonly capacityPerS: number;
}
