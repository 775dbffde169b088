import { ladderThresholds } from './ladder-thresholds.ts';
import type { LadderThresholds } from './ladder-thresholds.ts';
import type { Measured } from './measured.ts';
import { partitionsForNames } from './partition-need.ts';
import { isAllowed, partitionsOn, shareLeft, stepsOf } from './rung-effects.ts';
import type { Step } from './rung-effects.ts';
import { reasonOf } from './rung-reason.ts';
import type { Grounds } from './rung-reason.ts';
import type { Stand } from './stand.ts';

export interface Decision {
  readonly stand: Stand;
  /** How many partitions the directory is to have; where it has others, it is to be split or merged. */
  readonly partitions: number;
  /** Whether anything is to be done. A change that is not carried out is decided again. */
  readonly isChange: boolean;
  /** One sentence with the numbers. */
  readonly reason: string;
}

/**
 * The rung that the cause of the load needs, in one decision, and the partitions that load and names need. It climbs at
 * once, changes rungs after `settleMs`, and comes down and merges after `coolMs` without a break; a rung that is good
 * enough stays. Same arguments, same decision. Throws a RangeError where the capacity is not more than 0, or there is
 * no partition, shard or node.
 */
export function decide(stand: Stand, of: Measured, nowMs: number, by: LadderThresholds = ladderThresholds): Decision {
  assertMeasured(of);
  const now = shareLeft(stand, of, of.partitions);
  const rest = partitionsForNames(of, true, by);
  const isCool = shareLeft(ground, of, rest) < by.coolShare;
  const coolSinceMs = isCool ? (stand.coolSinceMs ?? nowMs) : null;
  const isRested = coolSinceMs !== null && nowMs - coolSinceMs >= by.coolMs;
  const [step, grounds]: Choice = isRested ? [ground, 'cool'] : stepFrom(stand, of, nowMs, by);
  const partitions = isRested ? rest : partitionsOn(step, of, by);
  const isMove = step.rung !== stand.rung || step.entry !== stand.entry;
  return {
    stand: { rung: step.rung, entry: step.entry, sinceMs: isMove ? nowMs : stand.sinceMs, coolSinceMs },
    partitions,
    isChange: isMove || partitions !== of.partitions,
    reason: reasonOf({ grounds, isMove, rung: step.rung, partitions, now, then: shareLeft(step, of, partitions) }, of),
  };
}

type Choice = readonly [step: Step, grounds: Grounds];

const ground: Step = { rung: 'none', entry: null };

function stepFrom(stand: Stand, of: Measured, nowMs: number, by: LadderThresholds): Choice {
  // What the names make it split to counts for nothing here: more load may be on its way than shows yet.
  const left = (step: Step): number =>
    shareLeft(step, of, step.rung === 'split' ? partitionsOn(step, of, by) : of.partitions);
  const isGoodHere = isAllowed(stand, of, true, by);
  if (isGoodHere && left(stand) <= by.hotShare) return [stand, 'enough'];
  if (stand.rung !== 'none' && nowMs - stand.sinceMs < by.settleMs) return [stand, 'settling'];
  const steps = stepsOf(of).filter((step) => isAllowed(step, of, false, by));
  const best =
    steps.find((step) => left(step) <= by.aimedShare) ??
    steps.reduce((least, step) => (left(step) < left(least) ? step : least));
  // A move has to be worth it.
  if (isGoodHere && left(best) > left(stand) / 2) return [stand, 'helpless'];
  return [best, 'hot'];
}

function assertMeasured(of: Measured): void {
  if (!(of.capacityPerS > 0)) throw new RangeError(`a node that serves ${of.capacityPerS} operations a second`);
  for (const count of [of.partitions, of.shards, of.nodes]) {
    if (!(count >= 1)) throw new RangeError(`${of.partitions} partitions, ${of.shards} shards, ${of.nodes} nodes`);
  }
}
