import type { Command } from 'commander';

import { dirsCommand } from '../admin/dirs.ts';
import { drainCommands } from '../admin/drain.ts';
import { mapCommand } from '../admin/map.ts';
import { nodesCommand } from '../admin/nodes.ts';
import { rebalanceCommand } from '../admin/rebalance.ts';
import { shardsCommand } from '../admin/shards.ts';
import type { CommandContext } from '../command-context.ts';

export function adminCommand(program: Command, context: CommandContext): void {
  const admin = program
    .command('admin')
    .description('The hands of an operator: who is in the cluster, who owns what, and what is to move')
    .addHelpText('after', '\nAny daemon of the cluster does (--socket): what is asked for is kept in etcd.');
  nodesCommand(admin, context);
  shardsCommand(admin, context);
  rebalanceCommand(admin, context);
  drainCommands(admin, context);
  dirsCommand(admin, context);
  mapCommand(admin, context);
}
