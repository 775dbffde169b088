import type { Command } from 'commander';
import { InvalidArgumentError } from 'commander';
import { movesAtOnceMax } from '@millpool/protocol';
import type { PlannedMove, RebalancePlan } from '@millpool/protocol';

import type { CommandContext, Tools } from '../command-context.ts';
import { table } from '../output.ts';
import { describeRebalance, tellRebalance, watchRebalance } from './rebalance-watch.ts';

const atOnceDefault = 16;

export interface RunFlags {
  readonly atOnce: number;
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
      const { atOnce, wait } = flags;
      const begun = await tools.session.call('rebalance-run', { atOnce }, { signal: tools.signal });
      const status = wait ? await watchRebalance(begun, tools) : begun;
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
    .option('--no-wait', 'return when it has begun');
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

function describePlan({ moves, maxOverMean, maxOverMeanAfter }: RebalancePlan): string {
  if (moves.length === 0)
    return `Nothing is to move: the most that a node has is ${maxOverMean.toFixed(2)} of the mean.`;
  const counts = new Map<string, PlannedMove & { count: number }>();
  for (const move of moves) {
    const key = `${move.from} ${move.to}`;
    const before = counts.get(key) ?? { ...move, count: 0 };
    counts.set(key, { ...before, count: before.count + 1 });
  }
  const rows = [...counts.values()].map(({ from, to, count }) => [from, 'to', to, String(count)]);
  return [
    table(rows, [3]),
    `${moves.length} shards would move; the most that a node has goes from ${maxOverMean.toFixed(2)} of the mean ` +
      `to ${maxOverMeanAfter.toFixed(2)}.`,
  ].join('\n');
}

function moveCount(text: string): number {
  const count = Number(text);
  if (/^\d{1,4}$/.test(text) && count >= 1 && count <= movesAtOnceMax) return count;
  throw new InvalidArgumentError(`A whole number from 1 to ${movesAtOnceMax}.`);
}
