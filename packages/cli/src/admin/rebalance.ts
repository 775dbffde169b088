import type { Command } from 'commander';
import { InvalidArgumentError } from 'commander';
import { formatBytes, movesAtOnceMax, parseRate } from '@millpool/protocol';
import type { PlannedMove, PlannedSpread, RebalancePace, RebalancePlan } from '@millpool/protocol';

import type { CommandContext, Tools } from '../command-context.ts';
import { table } from '../output.ts';
import { describeRebalance, tellRebalance, watchRebalance } from './rebalance-watch.ts';

const atOnceDefault = 16;

export interface RunFlags {
  readonly atOnce: number;
  readonly rate?: string;
  /** False for `--no-wait`. */
  readonly wait: boolean;
}

export function rebalanceCommand(admin: Command, context: CommandContext): void {
  const rebalance = admin
    .command('rebalance')
    .description('Spread the shards evenly over the nodes that are to have some')
    .addHelpText('after', '\nIt goes on wherever and whether or not somebody watches, over restarts too.');
  rebalance
    .command('plan')
    .description('What it would move, and how even that would be; moves nothing')
    .action(() => context.run(runPlan));
  withRunFlags(rebalance.command('run').description('Do it, and watch it to its end')).action((flags: RunFlags) =>
    context.run(async (tools) => {
      const begun = await tools.session.call('rebalance-run', paceOf(flags), { signal: tools.signal });
      const status = flags.wait ? await watchRebalance(begun, tools) : begun;
      tellRebalance(status, tools);
    }),
  );
  rebalance
    .command('status')
    .description('The last one')
    .option('--wait', 'until it has ended, or is paused')
    .action(({ wait }: { wait?: true }) => context.run((tools) => runStatus(wait === true, tools)));
  for (const verb of ['pause', 'resume', 'cancel'] as const) {
    rebalance
      .command(verb)
      .description(descriptions[verb])
      .action(() =>
        context.run(async ({ session, output, signal }) => {
          const status = await session.call(`rebalance-${verb}`, {}, { signal });
          output.result(status, describeRebalance(status));
        }),
      );
  }
}

const descriptions = {
  pause: 'Ask for no further moves; those under way end',
  resume: 'Go on with one that is paused',
  cancel: 'End it; what has moved stays where it is',
} as const;

export function withRunFlags(command: Command): Command {
  return command
    .option('--at-once <count>', `moves under way at a time (default: ${atOnceDefault})`, moveCount, atOnceDefault)
    .option('--rate <rate>', 'each node gives away at most so many bytes of listings a second, as in 50MiB/s')
    .option('--no-wait', 'return when it has begun');
}

export function paceOf({ atOnce, rate }: RunFlags): RebalancePace {
  return { atOnce, bytesPerSecond: rate === undefined ? null : parseRate(rate) };
}

async function runPlan({ session, output, signal }: Tools): Promise<void> {
  const plan = await session.call('rebalance-plan', {}, { signal });
  output.result(plan, describePlan(plan));
}

async function runStatus(wait: boolean, tools: Tools): Promise<void> {
  const { rebalance } = await tools.session.call('rebalance-status', {}, { signal: tools.signal });
  if (rebalance === null) return tools.output.result({}, 'There has been no rebalance.');
  const status = wait ? await watchRebalance(rebalance, tools) : rebalance;
  tellRebalance(status, tools);
}

function describePlan(plan: RebalancePlan): string {
  const { moves, missing } = plan;
  const untold =
    missing.length === 0 ? [] : [`What these have is not known, and counts as nothing: ${missing.join(', ')}.`];
  if (moves.length === 0) return ['Nothing is to move.', describeSpreads(plan), ...untold].join('\n');
  const counts = new Map<string, PlannedMove & { count: number }>();
  for (const move of moves) {
    const key = `${move.from} ${move.to}`;
    const before = counts.get(key) ?? { ...move, count: 0 };
    counts.set(key, { ...before, count: before.count + 1 });
  }
  const rows = [...counts.values()].map(({ from, to, count }) => [from, 'to', to, String(count)]);
  return [table(rows, [3]), '', describeSpreads(plan), ...untold].join('\n');
}

/** The most that a node has over the mean, before and after, and what moves. */
function describeSpreads(plan: RebalancePlan): string {
  const { moves, maxOverMean, maxOverMeanAfter, entries, bytes, readsPerS } = plan;
  const row = (name: string, spread: PlannedSpread, moved: string): string[] => [
    name,
    spread.maxOverMean.toFixed(2),
    spread.maxOverMeanAfter.toFixed(2),
    moved,
  ];
  const count = (amount: number): string => Math.round(amount).toLocaleString('en-US');
  const rows = [
    ['most over mean', 'now', 'after', 'moved'],
    row('shards', { maxOverMean, maxOverMeanAfter, moved: moves.length }, count(moves.length)),
    row('entries', entries, count(entries.moved)),
    row('bytes', bytes, formatBytes(bytes.moved)),
    row('reads/s', readsPerS, count(readsPerS.moved)),
  ];
  return table(rows, [1, 2, 3]);
}

function moveCount(text: string): number {
  const count = Number(text);
  if (/^\d{1,4}$/.test(text) && count >= 1 && count <= movesAtOnceMax) return count;
  throw new InvalidArgumentError(`A whole number from 1 to ${movesAtOnceMax}.`);
}
