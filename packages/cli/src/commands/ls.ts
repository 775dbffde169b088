import type { Command } from 'commander';
import { formatBytes, nameOf } from '@millpool/protocol';
import type { Entry } from '@millpool/protocol';

import type { CommandContext, Tools } from '../command-context.ts';
import { entryJson } from '../entry-json.ts';
import { listPages } from '../list-pages.ts';
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

/** Of what `formatBytes` gives at most, so that all pages have one column. */
const sizeWidth = 10;

async function runLs(path: string, options: LsOptions, tools: Tools): Promise<void> {
  const { session, output, signal } = tools;
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
  const shownName = (entry: Entry): string => (recursive ? entry.path : nameOf(entry.path));
  for await (const page of listPages(path, recursive, tools)) show(page, shownName);
}

function rows(entries: readonly Entry[], name: (entry: Entry) => string, long: boolean): string {
  const label = (entry: Entry): string => printable(name(entry)) + (entry.type === 'directory' ? '/' : '');
  if (!long) return entries.map(label).join('\n');
  const cells = entries.map((entry) => [
    (entry.type === 'directory' ? '-' : formatBytes(entry.size)).padStart(sizeWidth),
    entry.mtimeMs === null ? '-' : new Date(entry.mtimeMs).toISOString(),
    label(entry),
  ]);
  return table(cells);
}
