import { setTimeout as sleep } from 'node:timers/promises';

import type { RebalanceStatus } from '@millpool/protocol';

import { PartlyDone } from '../command-context.ts';
import type { Tools } from '../command-context.ts';
import { barOf } from '../progress-bar.ts';
import { StatusLine } from '../status-line.ts';

const lookEveryMs = 200;

/** Watches a rebalance until it has ended or is paused. Ctrl-C ends only the watching. */
export async function watchRebalance(begun: RebalanceStatus, tools: Tools): Promise<RebalanceStatus> {
  const { session, output, signal } = tools;
  const line = new StatusLine(output.lively);
  let status = begun;
  try {
    while (status.state === 'running') {
      output.progress(status);
      line.show(() => `${barOf(shareOf(status))} ${status.done + status.skipped} of ${status.moves} shards`);
      await sleep(lookEveryMs, undefined, { signal });
      const { rebalance } = await session.call('rebalance-status', {}, { signal });
      if (rebalance === null || rebalance.id !== begun.id) break;
      status = rebalance;
    }
  } catch (error) {
    if (signal.aborted) output.note('The rebalance goes on; `millpool admin rebalance status` shows how far it is.');
    throw error;
  } finally {
    line.clear();
  }
  return status;
}

export function describeRebalance({ id, reason, state, moves, done, skipped }: RebalanceStatus): string {
  const overtaken = skipped === 0 ? '' : `, ${skipped} overtaken by other moves or nodes that left`;
  return `Rebalance ${id}, ${reason}: ${state}, ${done} of ${moves} shards moved${overtaken}.`;
}

/** Throws `PartlyDone` where it has ended and something was left. */
export function tellRebalance(status: RebalanceStatus, { output }: Tools): void {
  output.result(status, describeRebalance(status));
  if (status.state !== 'done' || status.skipped === 0) return;
  throw new PartlyDone([
    {
      code: 'cancelled',
      message: `${status.skipped} moves came to nothing: their shard went elsewhere, or who was to have it left.`,
      remedy: 'See `millpool admin nodes`, and plan again.',
    },
  ]);
}

function shareOf({ moves, done, skipped }: RebalanceStatus): number {
  return moves === 0 ? 1 : (done + skipped) / moves;
}
