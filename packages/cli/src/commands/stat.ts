import type { Command } from 'commander';
import { etagOf, formatBytes, isWeak, MillpoolError } from '@millpool/protocol';
import type { ErrorShape, StatResult } from '@millpool/protocol';

import type { CommandContext } from '../command-context.ts';
import { PartlyDone } from '../command-context.ts';
import { entryJson } from '../entry-json.ts';
import { printable, table } from '../output.ts';

export function statCommand(program: Command, context: CommandContext): void {
  program
    .command('stat')
    .description('What is known of files and directories, and how much of each is cached here')
    .argument('<path...>', 'absolute paths in the namespace')
    .action((paths: string[]) =>
      context.run(async ({ session, output, signal }) => {
        const { results } = await session.call('stat', { paths }, { signal });
        const failures: ErrorShape[] = [];
        for (const result of results) {
          if ('error' in result) failures.push(result.error);
          else
            output.result(
              { ...entryJson(result), cachedBytes: result.cachedBytes, pinnedBy: result.pinnedBy },
              describe(result),
            );
        }
        if (failures.length === 0) return;
        const [first] = failures;
        if (failures.length === results.length && first !== undefined) throw new MillpoolError(first);
        throw new PartlyDone(failures);
      }),
    );
}

function describe(entry: Exclude<StatResult, { readonly error: ErrorShape }>): string {
  const lines = [
    ['path', printable(entry.path)],
    ['type', entry.type],
  ];
  if (entry.type === 'file') {
    lines.push(['size', `${formatBytes(entry.size)} (${entry.size} bytes)`]);
    lines.push(['etag', etagOf(entry.tag) ?? (isWeak(entry.tag) ? 'none: identity weak (size and time)' : entry.tag)]);
    lines.push(['cached', `${formatBytes(entry.cachedBytes)} of ${formatBytes(entry.size)}`]);
  }
  if (entry.pinnedBy !== null) lines.push(['pinned', entry.pinnedBy === entry.path ? 'yes' : `by ${entry.pinnedBy}`]);
  if (entry.mtimeMs !== null) lines.push(['mtime', new Date(entry.mtimeMs).toISOString()]);
  return table(lines);
}
