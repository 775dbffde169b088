import type { Command } from 'commander';
import { Option } from 'commander';
import { MillpoolError, nameOf, parseBytes, parsePath, pathBelow } from '@millpool/protocol';
import type { Entry } from '@millpool/protocol';

import type { CommandContext, Tools } from '../command-context.ts';
import { entryJson } from '../entry-json.ts';
import { filesBelow, OpenDirectories } from '../files-below.ts';
import { globArgument } from '../glob-argument.ts';
import { printable } from '../output.ts';

interface FindOptions {
  readonly name?: string;
  readonly type?: 'f' | 'd';
  readonly size?: readonly string[];
  readonly newer?: string;
}

type Wanted = (entry: Entry) => boolean;

const repeat = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];

export function findCommand(program: Command, context: CommandContext): void {
  program
    .command('find')
    .description('Find files, and directories that have files, below a path, in path order')
    .argument('<path>', 'absolute path in the namespace')
    .option(
      '--name <glob>',
      'of its name, as in "*.png"; one with a slash is matched with the path below PATH',
      globArgument,
    )
    .addOption(new Option('--type <type>', 'f for files, d for directories').choices(['f', 'd']))
    .option('--size <size>', 'files of more (+10MiB), less (-4KiB) or just so many bytes; repeat it for both', repeat)
    .option('--newer <time>', 'files that changed after an ISO 8601 time, as in 2026-01-31T12:00:00Z')
    .action((path: string, options: FindOptions) => context.run((tools) => runFind(parsePath(path), options, tools)));
}

async function runFind(root: string, options: FindOptions, tools: Tools): Promise<void> {
  const wanted = await wantedBy(root, options);
  const directories = new OpenDirectories(root);
  for await (const page of filesBelow(root, tools)) {
    const lines: string[] = [];
    const show = (entry: Entry): void => {
      if (!wanted(entry)) return;
      if (tools.output.json) tools.output.result(entryJson(entry), '');
      else lines.push(printable(entry.path));
    };
    for (const file of page) {
      for (const path of directories.next(file.path).entered) show(directoryAt(path));
      show(file);
    }
    if (lines.length > 0) tools.output.result({}, lines.join('\n'));
  }
}

function directoryAt(path: string): Entry {
  return { path, type: 'directory', size: 0, mtimeMs: null, tag: '' };
}

/** All that was asked of an entry. */
async function wantedBy(root: string, { name, type, size = [], newer }: FindOptions): Promise<Wanted> {
  const checks: Wanted[] = size.map(sizeCheck);
  if (type !== undefined) checks.push((entry) => (entry.type === 'file') === (type === 'f'));
  if (name !== undefined) {
    const { default: picomatch } = await import('picomatch');
    const matches = picomatch(name, { dot: true });
    const nameIn = name.includes('/') ? (path: string): string => pathBelow(path, root) : nameOf;
    checks.push((entry) => matches(nameIn(entry.path)));
  }
  if (newer !== undefined) {
    const sinceMs = timeOf(newer);
    checks.push(({ mtimeMs }) => mtimeMs !== null && mtimeMs > sinceMs);
  }
  return (entry) => checks.every((check) => check(entry));
}

function sizeCheck(text: string): Wanted {
  const sign = /^[+-]/.exec(text)?.[0] ?? '';
  const bytes = parseBytes(text.slice(sign.length));
  const fits = (size: number): boolean => (sign === '+' ? size > bytes : sign === '-' ? size < bytes : size === bytes);
  return (entry) => entry.type === 'file' && fits(entry.size);
}

function timeOf(text: string): number {
  const timeMs = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isFinite(timeMs)) return timeMs;
  throw new MillpoolError({
    code: 'invalid',
    message: `${JSON.stringify(text)} is no ISO 8601 time.`,
    remedy: 'Write it as 2026-01-31 or 2026-01-31T12:00:00Z.',
  });
}
