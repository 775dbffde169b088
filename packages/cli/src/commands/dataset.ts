import type { Command } from 'commander';
import { datasetDiffLimitMax, formatBytes, parsePath } from '@millpool/protocol';
import type {
  DatasetChange,
  DatasetDescription,
  DatasetDiffReply,
  DatasetPlace,
  DatasetRequest,
  ErrorShape,
} from '@millpool/protocol';

import { PartlyDone } from '../command-context.ts';
import type { CommandContext, Tools } from '../command-context.ts';
import { datasetPages, fullVersion } from '../dataset-version.ts';
import { globArgument } from '../glob-argument.ts';
import { printable, table } from '../output.ts';
import { watchSnapshot } from '../snapshot-watch.ts';

/** Enough to tell versions apart, and to name one. */
const digitsShown = 16;
const snapshotSeconds = 86_400;
const snapshotHelp = `
How far it is is shown on a terminal; with --json it is a line {"progress": …} a second on standard error, and the
result on standard output. Ctrl-C leaves nothing of it; asked again, it begins anew, with what was listed by then.

A glob: * and ? stand for characters of one name, ** for any number of names, [a-z] for one character, {a,b} for either,
!(a) for anything else. It is the whole path below PATH that must match: *.png is of PATH itself, **/*.png also of all
below it. Names that begin with a dot are like any others.`;
const signs = { added: '+', removed: '-', changed: '~' } as const;

export function datasetCommand(program: Command, context: CommandContext): void {
  const dataset = program
    .command('dataset')
    .description('Dataset versions: what was below a path at a time, by content')
    .addHelpText('after', '\nA version is written as its 64 hex digits, or as the first of them, at least 4.');
  dataset
    .command('snapshot')
    .description('Make a version of what is below a path now; the same content has the same version')
    .argument('<path>', 'absolute path in the namespace')
    .option('--include <glob>', 'only files whose path below PATH it matches, as in **/*.png', globArgument)
    .addHelpText('after', snapshotHelp)
    .action((path: string, { include = null }: { include?: string | null }) =>
      context.run((tools) => runSnapshot({ path: parsePath(path), version: null, include }, tools)),
    );
  dataset
    .command('ls')
    .description('The versions of this node, by path, the newest last')
    .action(() => context.run(runLs));
  dataset
    .command('diff')
    .description('Files that were added (+), removed (-) or changed (~) from version A to version B, in path order')
    .argument('<A>', 'a version')
    .argument('<B>', 'another version')
    .action((a: string, b: string) => context.run((tools) => runDiff(a, b, tools)));
  dataset
    .command('free')
    .description('Forget a version; files, and what is cached of them, stay')
    .argument('<version>', 'a version')
    .action((digits: string) =>
      context.run(async (tools) => {
        const request = { version: await fullVersion(digits, tools) };
        const { version } = await tools.session.call('dataset-free', request, { signal: tools.signal });
        tools.output.result({ version }, `Forgot ${version}.`);
      }),
    );
}

async function runSnapshot(request: DatasetRequest, tools: Tools): Promise<void> {
  const { session, output, signal } = tools;
  const isOver = new AbortController();
  const watching = watchSnapshot(request, tools, AbortSignal.any([signal, isOver.signal]));
  try {
    const options = { signal, timeoutSeconds: snapshotSeconds };
    const { version, count, bytes } = await session.call('dataset', request, options);
    isOver.abort();
    await watching;
    const { path } = request;
    const text = `${version}\n${count} files, ${formatBytes(bytes)}.`;
    output.result({ version, path, files: count, sizeBytes: bytes }, text);
  } finally {
    isOver.abort();
    await watching;
  }
}

async function runLs(tools: Tools): Promise<void> {
  const found: DatasetDescription[] = [];
  const failures: ErrorShape[] = [];
  for await (const page of datasetPages(tools)) {
    found.push(...page.datasets);
    failures.push(...page.failures);
  }
  const keyOf = ({ path, madeAt }: DatasetDescription): string => `${path}\0${madeAt}`;
  found.sort((left, right) => (keyOf(left) < keyOf(right) ? -1 : 1));
  if (tools.output.json) {
    for (const { version, path, count, bytes, madeAt } of found) {
      tools.output.result({ version, path, files: count, sizeBytes: bytes, madeAt }, '');
    }
  } else if (found.length > 0) {
    const rows = found.map(({ version, path, count, bytes, madeAt }) => [
      version.slice(0, digitsShown),
      printable(path),
      String(count),
      formatBytes(bytes),
      madeAt,
    ]);
    tools.output.result({}, table([['version', 'path', 'files', 'size', 'made'], ...rows], [2, 3]));
  }
  if (failures.length > 0) throw new PartlyDone(failures);
}

async function runDiff(a: string, b: string, tools: Tools): Promise<void> {
  const { session, output, signal } = tools;
  const [before, after] = [await fullVersion(a, tools), await fullVersion(b, tools)];
  let place: DatasetPlace | null = null;
  do {
    const request = { before, after, place, limit: datasetDiffLimitMax };
    const page: DatasetDiffReply = await session.call('dataset-diff', request, { signal });
    if (output.json) for (const change of page.changes) output.result(changeJson(change), '');
    else if (page.changes.length > 0) output.result({}, page.changes.map(line).join('\n'));
    place = page.next;
  } while (place !== null);
}

function changeJson({ kind, path, before, after }: DatasetChange): object {
  return { change: kind, path, beforeBytes: before, afterBytes: after };
}

function line({ kind, path }: DatasetChange): string {
  return `${signs[kind]} ${printable(path)}`;
}
