import type { Command } from 'commander';
import { InvalidArgumentError } from 'commander';
import { hotDirectoriesMax } from '@millpool/protocol';
import type { HotDirectory } from '@millpool/protocol';

import type { CommandContext, Tools } from '../command-context.ts';
import { printable, table } from '../output.ts';

const head = ['reads/s', 'nodes', 'shard', 'owner', 'directory'];
const limitDefault = 20;

export function dirsCommand(admin: Command, context: CommandContext): void {
  const dirs = admin.command('dirs').description('Directories, by what is asked of their owners');
  dirs
    .command('ls', { isDefault: true })
    .description('Those that are read most of late, the hottest first: look-ups and pages of listings')
    .option('--hot', 'the hottest first, which is the only order yet')
    .option('--limit <count>', `so many at most (default: ${limitDefault})`, limitOf, limitDefault)
    .action(({ limit }: { limit: number }) => context.run((tools) => runDirs(limit, tools)));
}

async function runDirs(limit: number, { session, output, signal }: Tools): Promise<void> {
  const { directories, missing } = await session.call('dirs', { limit }, { signal });
  if (output.json) for (const directory of directories) output.result(directory, '');
  else if (directories.length > 0) output.result({}, table([head, ...directories.map(row)], [0, 1, 2]));
  if (missing.length > 0) output.note(`Not told by ${missing.join(', ')}, which did not answer.`);
}

function row({ directory, readsPerS, callers, shard, owner }: HotDirectory): readonly string[] {
  return [
    readsPerS.toFixed(1),
    String(callers),
    shard === null ? '-' : String(shard),
    owner ?? '-',
    printable(directory),
  ];
}

function limitOf(text: string): number {
  const limit = Number(text);
  if (/^\d{1,4}$/.test(text) && limit >= 1 && limit <= hotDirectoriesMax) return limit;
  throw new InvalidArgumentError(`A whole number from 1 to ${hotDirectoriesMax}.`);
}
