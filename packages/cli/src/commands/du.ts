import type { Command } from 'commander';
import { InvalidArgumentError } from 'commander';
import { asMillpoolError, formatBytes, isBelow, MillpoolError, parsePath } from '@millpool/protocol';
import type { Entry, ErrorShape } from '@millpool/protocol';

import { PartlyDone } from '../command-context.ts';
import type { CommandContext, Tools } from '../command-context.ts';
import { filesBelow, OpenDirectories } from '../files-below.ts';
import { NobodyReads, printable } from '../output.ts';

interface DuOptions {
  readonly summarize?: boolean;
  readonly depth?: number;
  readonly cached?: boolean;
}

interface Sum {
  files: number;
  sizeBytes: number;
  cachedBytes: number;
}

const columnWidth = 10;

export function duCommand(program: Command, context: CommandContext): void {
  program
    .command('du')
    .description('Bytes and files at and below each directory')
    .argument('<path...>', 'absolute paths in the namespace')
    .option('-s, --summarize', 'only the sum of each PATH')
    .option('-d, --depth <depth>', 'only directories so many names below PATH; 0 is -s', wholeNumber)
    .option('--cached', 'also how many of the bytes are cached here')
    .action((paths: string[], options: DuOptions) => context.run((tools) => runDu(paths, options, tools)));
}

async function runDu(paths: readonly string[], options: DuOptions, tools: Tools): Promise<void> {
  const failures: ErrorShape[] = [];
  for (const path of paths) {
    try {
      await sumUp(parsePath(path), options, tools);
    } catch (error) {
      tools.signal.throwIfAborted();
      if (error instanceof NobodyReads) throw error;
      failures.push({ path, ...asMillpoolError(error).shape });
    }
  }
  const [first] = failures;
  if (first === undefined) return;
  throw failures.length === paths.length ? new MillpoolError(first) : new PartlyDone(failures);
}

/** Shows each directory as it is left, and the path itself last. */
async function sumUp(root: string, options: DuOptions, tools: Tools): Promise<void> {
  const depthMax = options.summarize === true ? 0 : (options.depth ?? Number.POSITIVE_INFINITY);
  const cached = options.cached === true;
  const directories = new OpenDirectories(root);
  const sums: Sum[] = [];
  const total = emptySum();
  const leave = (path: string): void => {
    const sum = sums.pop() ?? emptySum();
    add(sums.at(-1) ?? total, sum);
    if (path !== root && depthOf(path, root) <= depthMax) show(path, sum, { cached, tools });
  };
  for await (const page of filesBelow(root, tools)) {
    const cachedBytes = cached ? await cachedOf(page, tools) : [];
    page.forEach((file, i) => {
      const { left, entered } = directories.next(file.path);
      left.forEach(leave);
      entered.forEach(() => sums.push(emptySum()));
      add(sums.at(-1) ?? total, { files: 1, sizeBytes: file.size, cachedBytes: cachedBytes[i] ?? 0 });
    });
  }
  directories.end().forEach(leave);
  show(root, total, { cached, tools });
}

/** A file that went away meanwhile has nothing cached. */
async function cachedOf(page: readonly Entry[], { session, signal }: Tools): Promise<readonly number[]> {
  if (page.length === 0) return [];
  const { results } = await session.call('stat', { paths: page.map(({ path }) => path) }, { signal });
  return results.map((result) => ('error' in result ? 0 : result.cachedBytes));
}

function show(path: string, sum: Sum, { cached, tools }: { readonly cached: boolean; readonly tools: Tools }): void {
  const { files, sizeBytes, cachedBytes } = sum;
  const cells = [formatBytes(sizeBytes), ...(cached ? [formatBytes(cachedBytes)] : []), String(files)];
  const columns = cells.map((cell) => cell.padStart(columnWidth)).join(' ');
  tools.output.result({ path, sizeBytes, files, ...(cached ? { cachedBytes } : {}) }, `${columns}  ${printable(path)}`);
}

function emptySum(): Sum {
  return { files: 0, sizeBytes: 0, cachedBytes: 0 };
}

function add(to: Sum, { files, sizeBytes, cachedBytes }: Sum): void {
  to.files += files;
  to.sizeBytes += sizeBytes;
  to.cachedBytes += cachedBytes;
}

/** Names from `root` to a path below it. */
function depthOf(path: string, root: string): number {
  if (!isBelow(path, root)) return 0;
  return path.split('/').length - (root === '/' ? 1 : root.split('/').length);
}

function wholeNumber(text: string): number {
  if (!/^\d{1,6}$/.test(text)) throw new InvalidArgumentError('It is a whole number of 0 or more.');
  return Number(text);
}
