import type { LadderThresholds } from './ladder-thresholds.ts';
import type { Measured } from './measured.ts';
import { busiestShare, partitionsForLoad, partitionsForNames } from './partition-need.ts';
import type { Stand } from './stand.ts';

export type Step = Pick<Stand, 'rung' | 'entry'>;

/** The steps there are, the cheapest first. */
export function stepsOf(of: Measured): readonly Step[] {
  const entry = of.hottestEntry;
  const replicate: Step[] = entry === null ? [] : [{ rung: 'replicate', entry: entry.nameHash }];
  return [
    { rung: 'none', entry: null },
    ...replicate,
    { rung: 'publish', entry: null },
    { rung: 'split', entry: null },
  ];
}

/** Partitions that the directory has once the step is done. They are not merged: only a cool directory's are. */
export function partitionsOn(step: Step, of: Measured, by: LadderThresholds): number {
  const forNames = partitionsForNames(of, false, by);
  return step.rung === 'split' ? Math.max(forNames, partitionsForLoad(of, by)) : forNames;
}

/** The share of its capacity that the directory takes of the busiest owner, with so many partitions. */
export function shareLeft(step: Step, of: Measured, partitions: number): number {
  const entry = of.hottestEntry;
  const served = step.rung === 'publish' ? of.readsPerS : step.entry === entry?.nameHash ? (entry?.readsPerS ?? 0) : 0;
  // One entry lies in one partition, however many there are.
  const undivided = step.rung === 'publish' || step.rung === 'replicate' ? 0 : (entry?.readsPerS ?? 0);
  const divided = Math.max(0, of.readsPerS + of.writesPerS - served - undivided);
  return (undivided + divided * busiestShare(partitions, of.nodes)) / of.capacityPerS;
}

/** Whether the step may be taken, or be stayed on; staying allows more. */
export function isAllowed(step: Step, of: Measured, isStay: boolean, by: LadderThresholds): boolean {
  if (step.rung === 'none' || step.rung === 'split') return true;
  if (!isStay && of.callers < by.callersMin) return false;
  if (step.rung === 'publish') {
    const writesMax = isStay ? by.publishWritesMax : by.publishWrites;
    return of.writesPerS <= writesMax * of.readsPerS && (isStay || of.names <= by.publishNamesMax);
  }
  const reads = of.hottestEntry?.nameHash === step.entry ? (of.hottestEntry?.readsPerS ?? 0) : 0;
  if (!isStay && reads < by.replicateReads * of.readsPerS) return false;
  return of.writesPerS <= (isStay ? by.replicateWritesMax : by.replicateWrites) * reads;
}
