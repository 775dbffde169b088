import type { Rung } from '@millpool/protocol';

import type { Measured } from './measured.ts';

/** Why: cool for long, too hot for its rung; or why not: that is enough, or has to show yet, or nothing helps. */
export type Grounds = 'cool' | 'hot' | 'enough' | 'settling' | 'helpless';

export interface Reasoned {
  readonly grounds: Grounds;
  readonly isMove: boolean;
  readonly rung: Rung;
  readonly partitions: number;
  /** Shares of the busiest owner's capacity. */
  readonly now: number;
  readonly then: number;
}

/** One sentence for a log and for an operator's table. */
export function reasonOf(why: Reasoned, of: Measured): string {
  const reads = `${whole(of.readsPerS)} reads/s by ${whole(of.callers)} caller${of.callers === 1 ? '' : 's'}`;
  const load = `${reads} and ${whole(of.writesPerS)} writes/s are ${percent(why.now)} of its busiest owner`;
  return `${head(why, of)}: ${load}${why.isMove ? `, then ${percent(why.then)}` : ''}${names(why, of)}`;
}

function head({ grounds, isMove, rung }: Reasoned, of: Measured): string {
  if (grounds === 'cool') return isMove ? 'cool, nothing is done any more' : 'cool';
  if (!isMove) return `${rungText(rung, of)}, as before${stays[grounds]}`;
  return rungText(rung, of);
}

const stays = {
  hot: '',
  enough: '',
  settling: ' until its effect shows',
  helpless: ', as no other rung helps',
} as const;

function rungText(rung: Rung, of: Measured): string {
  if (rung === 'none') return 'nothing is done';
  if (rung === 'publish') return 'published';
  if (rung === 'split') return `split over ${whole(of.nodes)} nodes`;
  return `one entry has replicas, as it has ${whole(of.hottestEntry?.readsPerS ?? 0)} reads/s`;
}

function names({ partitions }: Reasoned, of: Measured): string {
  if (partitions === of.partitions) return '';
  return `; ${whole(of.names)} names go from ${whole(of.partitions)} to ${whole(partitions)} partitions`;
}

function percent(share: number): string {
  return `${whole(100 * share)} %`;
}

function whole(value: number): string {
  return Math.round(value)
    .toString()
    .replaceAll(/\B(?=(?:\d{3})+$)/g, ',');
}
