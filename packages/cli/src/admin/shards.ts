import type { Command } from 'commander';
import { InvalidArgumentError } from 'commander';
import { MillpoolError, shardsMax } from '@millpool/protocol';
import type { ShardStatus } from '@millpool/protocol';

import type { CommandContext, Tools } from '../command-context.ts';
import { table } from '../output.ts';
import { shardPicture } from './shard-picture.ts';

const head = ['shard', 'owner', 'term', 'state'];

export function shardsCommand(admin: Command, context: CommandContext): void {
  const shards = admin.command('shards').description('The shards of the metadata, and who owns them');
  shards
    .command('ls', { isDefault: true })
    .description('All of them')
    .option('--node <id>', 'only those that this node owns')
    .action(({ node }: { node?: string }) => context.run((tools) => runList(node ?? null, tools)));
  shards
    .command('show')
    .description('One shard')
    .argument('<shard>', 'its number', shardNumber)
    .action((shard: number) => context.run((tools) => runShow(shard, tools)));
  shards
    .command('map')
    .description('A picture of who owns what')
    .action(() =>
      context.run(async ({ session, output, signal }) => {
        const reply = await session.call('shards', {}, { signal });
        output.result(reply, shardPicture(reply.shards));
      }),
    );
  shards
    .command('move')
    .description('Ask the owners of shards to hand them to another node')
    .argument('<shard...>', 'numbers, or ranges as 0-63', (text: string, before: readonly number[] = []) => [
      ...before,
      ...shardRange(text),
    ])
    .requiredOption('--to <node>', 'who is to have them; whoever has a shard already keeps it')
    .action((numbers: readonly number[], { to }: { to: string }) =>
      context.run(async ({ session, output, signal }) => {
        const asked = [...new Set(numbers)];
        const reply = await session.call('shards-move', { shards: asked, to }, { signal });
        output.result(
          { ...reply, to },
          `${asked.length} asked for; \`millpool admin shards map\` shows how far it is.`,
        );
      }),
    );
}

async function runList(node: string | null, { session, output, signal }: Tools): Promise<void> {
  const { shards } = await session.call('shards', {}, { signal });
  const shown = shards.filter(({ owner }) => node === null || owner === node);
  if (output.json) for (const shard of shown) output.result(shard, '');
  else if (shown.length > 0) output.result({}, table([head, ...shown.map(row)], [0, 2]));
}

async function runShow(shard: number, { session, output, signal }: Tools): Promise<void> {
  const { shards } = await session.call('shards', {}, { signal });
  const found = shards[shard];
  if (found === undefined) {
    throw new MillpoolError({
      code: 'not-found',
      message: `There is no shard ${shard}.`,
      remedy: `This cluster has shards 0 to ${shards.length - 1}.`,
    });
  }
  output.result(found, table([head, row(found)], [0, 2]));
}

function row({ shard, owner, term, isServed, movingTo }: ShardStatus): readonly string[] {
  const served = owner === null ? 'nobody ever had it' : isServed ? 'served' : 'its owner is away';
  const state = movingTo === null || movingTo === owner ? served : `${served}, to go to ${movingTo}`;
  return [String(shard), owner ?? '-', String(term), state];
}

function shardNumber(text: string): number {
  const shard = Number(text);
  if (/^\d{1,4}$/.test(text) && shard < shardsMax) return shard;
  throw new InvalidArgumentError(`A shard is a whole number below ${shardsMax}.`);
}

function shardRange(text: string): readonly number[] {
  const [first = '', last = first, more] = text.split('-');
  const [from, to] = [shardNumber(first), shardNumber(last)];
  if (more !== undefined || to < from) throw new InvalidArgumentError('A range is written as 0-63.');
  return Array.from({ length: to - from + 1 }, (_, at) => from + at);
}
