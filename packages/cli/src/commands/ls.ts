import type { Command } from 'commander';
import { formatBytes } from '@millpool/protocol';
import type { Entry } from '@millpool/protocol';

import type { CommandContext, Tools } from '../command-context.ts';
import { entryJson } from '../entry-json.ts';
import { printable, table } from '../output.ts';

export function lsCommand(program: Command, context: CommandContext): void {
  program
    .command('ls')
    .description('List a directory, in name order')
    .argument('[path]', 'absolute path in the namespace', '/')
    .option('-l, --long', 'size, time and name')
    .option('-R, --recursive', 'every file below the path, in path order')
    .action((path: string, options: LsOptions) => context.run((tools) => runLs(path, options, tools)));
}

interface LsOptions {
  readonly long?: boolean;
  readonly recursive?: boolean;
}

async function runLs(path: string, options: LsOptions, { session, output, signal }: Tools): Promise<void> {
  const show = (entries: readonly Entry[], name: (entry: Entry) => string): void => {
    if (output.json) for (const entry of entries) output.result(entryJson(entry), '');
    else if (entries.length > 0) output.result({}, rows(entries, name, options.long === true));
  };
  const { results } = await session.call('stat', { paths: [path] }, { signal });
  const [found] = results;
  if (found !== undefined && !('error' in found) && found.type === 'file') {
    show([found], (entry) => entry.path);
    return;
  }
  const recursive = options.recursive === true;
  let cursor: string | null = null;
  do {
    const page: { entries: readonly Entry[]; cursor: string | null } = await session.call(
      'list',
      { path, recursive, cursor, limit: 5000 },
      { signal },
    );
    show(page.entries, (entry) => (recursive ? entry.path : entry.path.slice(entry.path.lastIndexOf('/') + 1)));
    cursor = page.cursor;
  } while (cursor !== null);
}

function rows(entries: readonly Entry[], name: (entry: Entry) => string, long: boolean): string {
  const label = (entry: Entry): string => printable(name(entry)) + (entry.type === 'directory' ? '/' : '');
  if (!long) return entries.map(label).join('\n');
  const cells = entries.map((entry) => [
    entry.type === 'directory' ? '-' : formatBytes(entry.size),
    entry.mtimeMs === null ? '-' : new Date(entry.mtimeMs).toISOString(),
    label(entry),
  ]);
  return table(cells, [0]);
}
