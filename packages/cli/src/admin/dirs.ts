import type { Command } from 'commander';
import { InvalidArgumentError } from 'commander';
import { hotDirectoriesMax, shardsMax } from '@millpool/protocol';
import type { DirectorySetRequest, DirectoryStatus, HotDirectory } from '@millpool/protocol';

import type { CommandContext, Tools } from '../command-context.ts';
import { printable, table } from '../output.ts';

const head = ['reads/s', 'nodes', 'shard', 'owner', 'state', 'directory'];
const limitDefault = 20;
const place = ['<directory>', 'absolute path in the namespace'] as const;

export function dirsCommand(admin: Command, context: CommandContext): void {
  const dirs = admin.command('dirs').description('Directories, by what is asked of them, and what is done for that');
  dirs
    .command('ls', { isDefault: true })
    .description('Those that are read most of late, the hottest first: look-ups and pages of listings')
    .option('--hot', 'the hottest first, which is the only order yet')
    .option('--limit <count>', `so many at most (default: ${limitDefault})`, limitOf, limitDefault)
    .action(({ limit }: { limit: number }) => context.run((tools) => runDirs(limit, tools)));
  dirs
    .command('show')
    .description('One directory: where it is kept, what is asked of it, and what is done for that')
    .argument(...place)
    .action((path: string) =>
      context.run(async (tools) =>
        tell(await tools.session.call('directory', { path }, { signal: tools.signal }), tools),
      ),
    );
  const choices = [
    [
      'publish',
      'publish',
      'Have all nodes that read it answer from copies of it, until it is merged or left to its load',
    ],
    ['merge', 'none', 'Have the owner of its home answer for all of it, until it is left to its load'],
    ['auto', null, 'Leave it to its load: it is published or split when that is great'],
  ] as const;
  for (const [name, rung, description] of choices) {
    dirs
      .command(name)
      .description(description)
      .argument(...place)
      .action((path: string) => context.run((tools) => runSet({ path, rung, parts: null }, tools)));
  }
  dirs
    .command('split')
    .description('Share its names out to the owners of several shards, until it is merged or left to its load')
    .argument(...place)
    .option('--parts <count>', 'a power of two up to the shards of the cluster (default: four a node)', partsOf)
    .action((path: string, { parts = null }: { parts?: number | null }) =>
      context.run((tools) => runSet({ path, rung: 'split', parts }, tools)),
    );
}

async function runSet(request: DirectorySetRequest, tools: Tools): Promise<void> {
  tell(await tools.session.call('directory-set', request, { signal: tools.signal }), tools);
}

function tell(status: DirectoryStatus, { output }: Tools): void {
  const { directory, shard, owner, readsPerS, callers, rung, isPinned, since, reason, parts, missing } = status;
  const owners = new Map<string, number>();
  for (const { owner: of } of parts) owners.set(of ?? 'nobody', (owners.get(of ?? 'nobody') ?? 0) + 1);
  // Its names alone may be too many for one owner.
  const state = states[rung === 'none' && parts.length > 1 ? 'split' : rung];
  const rows = [
    ['directory', printable(directory)],
    ['home', `shard ${shard ?? '-'} of ${owner ?? 'nobody'}`],
    ['reads', `${readsPerS.toFixed(1)}/s by ${callers} node${callers === 1 ? '' : 's'}`],
    ['state', `${state}, ${isPinned ? 'as an operator asked' : 'as its load needs'}`],
    ...(since === null ? [] : [['since', since]]),
    ...(reason === null ? [] : [['reason', printable(reason)]]),
    ...(parts.length === 1 ? [] : [['parts', [...owners].map(([id, count]) => `${count} at ${id}`).join(', ')]]),
  ];
  output.result(status, table(rows, []));
  tellMissing(missing, output);
}

const states = {
  none: 'whole',
  replicate: 'its hottest entry has replicas',
  publish: 'published',
  split: 'shared out',
} as const;

async function runDirs(limit: number, { session, output, signal }: Tools): Promise<void> {
  const { directories, missing } = await session.call('dirs', { limit }, { signal });
  if (output.json) for (const directory of directories) output.result(directory, '');
  else if (directories.length > 0) output.result({}, table([head, ...directories.map(row)], [0, 1, 2]));
  tellMissing(missing, output);
}

function tellMissing(missing: readonly string[], output: Tools['output']): void {
  if (missing.length > 0) output.note(`Not told by ${missing.join(', ')}, which did not answer.`);
}

function row({ directory, readsPerS, callers, shard, owner, rung }: HotDirectory): readonly string[] {
  return [
    readsPerS.toFixed(1),
    String(callers),
    shard === null ? '-' : String(shard),
    owner ?? '-',
    states[rung],
    printable(directory),
  ];
}

function limitOf(text: string): number {
  const limit = Number(text);
  if (/^\d{1,4}$/.test(text) && limit >= 1 && limit <= hotDirectoriesMax) return limit;
  throw new InvalidArgumentError(`A whole number from 1 to ${hotDirectoriesMax}.`);
}

function partsOf(text: string): number {
  const parts = Number(text);
  if (/^\d{1,4}$/.test(text) && parts >= 2 && parts <= shardsMax && (parts & (parts - 1)) === 0) return parts;
  throw new InvalidArgumentError(`A power of two from 2 to ${shardsMax}.`);
}
