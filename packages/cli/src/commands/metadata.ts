import { resolve } from 'node:path';

import type { Command } from 'commander';

import { clusterConfigOf } from '../cluster-config.ts';
import type { ClusterFlags } from '../cluster-config.ts';
import type { CommandContext, Tools } from '../command-context.ts';
import { startMetadataNode } from '../metadata-node.ts';
import { checkHasCluster, withClusterFlags } from '../node-flags.ts';
import { membershipOf, runDaemon, runDetached } from '../run-daemon.ts';

interface MetadataFlags extends ClusterFlags {
  readonly state?: string;
  readonly detach?: boolean;
}

export function metadataCommand(program: Command, context: CommandContext): void {
  const metadata = program
    .command('metadata')
    .description('Start a node of a cluster that owns metadata and keeps no bytes; Ctrl-C stops it cleanly')
    .option('--state <dir>', 'where what must outlive a restart is kept');
  withClusterFlags(metadata).action((flags: MetadataFlags) =>
    context.run((tools) => (flags.detach === true ? runDetached(tools) : runMetadata(flags, tools))),
  );
}

async function runMetadata(flags: MetadataFlags, tools: Tools): Promise<void> {
  const { config } = tools.settings;
  const { state } = flags;
  const stateDirectory = state === undefined ? config.stateDirectory : resolve(state);
  const wanted = { ...config, ...clusterConfigOf(config, flags, ['metadata']), stateDirectory };
  checkHasCluster(wanted, 'metadata');
  await runDaemon(tools, {
    start: (log, onShutdown) => startMetadataNode(wanted, log, onShutdown),
    serve: async (node) => {
      const membership = membershipOf(node);
      const lines = [`Millpool is up (pid ${process.pid}).`, ...membership.lines, 'Ctrl-C stops it.'];
      return { ready: { pid: process.pid, socket: wanted.socket, ...membership.ready }, lines };
    },
  });
}
