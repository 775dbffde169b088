import type { Command } from 'commander';

import type { CommandContext } from '../command-context.ts';
import { paceOf, withRunFlags } from './rebalance.ts';
import type { RunFlags } from './rebalance.ts';
import { tellRebalance, watchRebalance } from './rebalance-watch.ts';

export function drainCommands(admin: Command, context: CommandContext): void {
  const drain = admin
    .command('drain')
    .description('Move all shards of a node to others, and give it none until it is undrained')
    .argument('<node>', 'its id');
  withRunFlags(drain).action((node: string, flags: RunFlags) =>
    context.run(async (tools) => {
      const begun = await tools.session.call('drain', { node, ...paceOf(flags) }, { signal: tools.signal });
      const status = flags.wait ? await watchRebalance(begun, tools) : begun;
      tellRebalance(status, tools);
    }),
  );
  admin
    .command('undrain')
    .description('Let a node have shards again; `millpool admin rebalance run` gives it some')
    .argument('<node>', 'its id')
    .action((node: string) =>
      context.run(async ({ session, output, signal }) => {
        const reply = await session.call('undrain', { node }, { signal });
        output.result(reply, `${node} may have shards again.`);
      }),
    );
}
