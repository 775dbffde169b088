import type { Command } from 'commander';

import type { CommandContext, Tools } from '../command-context.ts';
import { checkHasCluster, nodeConfigOf, withNodeFlags } from '../node-flags.ts';
import type { NodeFlags } from '../node-flags.ts';
import { startNode } from '../node.ts';
import { runDaemon, runDetached } from '../run-daemon.ts';
import { nodeAnnouncement } from './up.ts';

export function cacheCommand(program: Command, context: CommandContext): void {
  const cache = program
    .command('cache')
    .description('Start a node of a cluster that keeps bytes and owns no metadata; Ctrl-C stops it cleanly');
  withNodeFlags(cache).action((flags: NodeFlags) =>
    context.run((tools) => (flags.detach === true ? runDetached(tools) : runCache(flags, tools))),
  );
}

async function runCache(flags: NodeFlags, tools: Tools): Promise<void> {
  const wanted = nodeConfigOf(tools.settings, flags, ['cache']);
  checkHasCluster(wanted, 'cache');
  await runDaemon(tools, {
    start: (log, onShutdown) => startNode(wanted, log, onShutdown),
    serve: (node) => nodeAnnouncement(node, wanted.socket, tools.signal),
  });
}
