import type { Command } from 'commander';
import type { NodeStatus } from '@millpool/protocol';

import type { CommandContext, Tools } from '../command-context.ts';
import { table } from '../output.ts';

const head = ['node', 'roles', 'shards', 'state', 'address', 'version', 'since'];

export function nodesCommand(admin: Command, context: CommandContext): void {
  admin
    .command('nodes')
    .description('Nodes that are there, and those that are not and own shards yet, or are to be drained')
    .action(() => context.run(runNodes));
}

async function runNodes({ session, output, signal }: Tools): Promise<void> {
  const { self, nodes } = await session.call('nodes', {}, { signal });
  if (output.json) for (const node of nodes) output.result(node, '');
  else output.result({}, table([head, ...nodes.map((node) => row(node, self))], [2]));
}

function row(node: NodeStatus, self: string): readonly string[] {
  const { id, roles, shards, address, version, joinedAt } = node;
  const name = id === self ? `${id} (asked)` : id;
  return [name, roles.join(' '), String(shards), stateOf(node), address, version, joinedAt ?? ''];
}

function stateOf({ joinedAt, draining, shards, awaitedUntil }: NodeStatus): string {
  if (awaitedUntil !== null) return `away, its shards wait until ${awaitedUntil}`;
  if (joinedAt === null) return draining ? 'away, drained' : 'away';
  if (!draining) return 'there';
  return shards === 0 ? 'drained' : 'draining';
}
