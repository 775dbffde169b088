import { Command, CommanderError } from 'commander';
import { MillpoolError } from '@millpool/protocol';

import { CommandContext } from './command-context.ts';
import { attachCommand } from './commands/attach.ts';
import { attachmentsCommand } from './commands/attachments.ts';
import { adminCommand } from './commands/admin.ts';
import { benchCommand } from './commands/bench.ts';
import { cacheCommand } from './commands/cache.ts';
import { catCommand } from './commands/cat.ts';
import { checkCommand } from './commands/check.ts';
import { completionCommand } from './commands/completion.ts';
import { configCommand } from './commands/config.ts';
import { cpCommand } from './commands/cp.ts';
import { datasetCommand } from './commands/dataset.ts';
import { detachCommand } from './commands/detach.ts';
import { doctorCommand } from './commands/doctor.ts';
import { downCommand } from './commands/down.ts';
import { duCommand } from './commands/du.ts';
import { findCommand } from './commands/find.ts';
import { freeCommand } from './commands/free.ts';
import { jobsCommand } from './commands/jobs.ts';
import { loadCommand } from './commands/load.ts';
import { lsCommand } from './commands/ls.ts';
import { metadataCommand } from './commands/metadata.ts';
import { pinCommand } from './commands/pin.ts';
import { purgeCommand } from './commands/purge.ts';
import { statCommand } from './commands/stat.ts';
import { statusCommand } from './commands/status.ts';
import { supportCommand } from './commands/support.ts';
import { topCommand } from './commands/top.ts';
import { unpinCommand } from './commands/unpin.ts';
import { upCommand } from './commands/up.ts';
import { whyCommand } from './commands/why.ts';
import { exampleText } from './examples.ts';
import { Output } from './output.ts';
import { loadSettings } from './settings.ts';
import { version } from './version.ts';

const exitCodes = `
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 partly done (a list says what not), 4 no such path,
5 daemon not reachable, 6 refused (permission, credentials), 130 interrupted.`;

/** The verbs, in the order in which help shows them. */
const verbs = [
  upCommand,
  downCommand,
  statusCommand,
  topCommand,
  whyCommand,
  doctorCommand,
  benchCommand,
  supportCommand,
  attachCommand,
  detachCommand,
  attachmentsCommand,
  lsCommand,
  statCommand,
  findCommand,
  duCommand,
  catCommand,
  cpCommand,
  loadCommand,
  jobsCommand,
  checkCommand,
  freeCommand,
  pinCommand,
  unpinCommand,
  datasetCommand,
  metadataCommand,
  cacheCommand,
  adminCommand,
  configCommand,
  completionCommand,
  purgeCommand,
] as const;

/** All verbs, and what runs them. */
export function rootCommand(): { readonly root: Command; readonly context: CommandContext } {
  const root = new Command('millpool')
    .description('A data-loading and caching layer between object storage and training loops.')
    .version(version, '-V, --version')
    .option('--json', 'results as JSON: one object, or one a line for lists')
    .option('-q, --quiet', 'results and errors only')
    .option('-v, --verbose', 'log at level debug')
    .option('--config <file>', 'configuration file')
    .option('--socket <path>', "the daemon's socket (also MILLPOOL_SOCKET)")
    .addHelpText('after', exitCodes)
    .exitOverride()
    .configureOutput({ outputError: () => undefined });
  const context = new CommandContext(() => loadSettings(root.opts(), process.env));
  for (const verb of verbs) verb(root, context);
  for (const command of root.commands) finish(command, command.name());
  return { root, context };
}

/** Runs one command line to its end; the result is the exit code. */
export async function program(argv: readonly string[]): Promise<number> {
  const { root, context } = rootCommand();
  try {
    await root.parseAsync(argv);
    return context.exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return usage(error, argv);
    throw error;
  }
}

/** Errors of a verb, and of those below it, are thrown and not printed; its help ends with examples. */
function finish(command: Command, names: string): void {
  command.exitOverride().configureOutput({ outputError: () => undefined });
  command.addHelpText('after', exampleText(names));
  for (const below of command.commands) finish(below, `${names} ${below.name()}`);
}

/** What commander says of a wrong command line, as our one kind of error. */
function usage(error: CommanderError, argv: readonly string[]): number {
  if (error.exitCode === 0) return 0;
  if (error.code === 'commander.help') return 2;
  // With `(Did you mean …?)` on a line of its own, where something is much like it.
  const [said = '', guess = ''] = error.message.replace(/^error: /, '').split('\n');
  const message = said.replace(/^\w/, (first) => first.toUpperCase());
  const remedy = `${guess.replace(/^\((.*)\)$/, '$1 ')}See \`millpool --help\`, or \`millpool VERB --help\`.`;
  new Output({ json: argv.includes('--json'), quiet: false }).error(
    new MillpoolError({ code: 'invalid', message, remedy }).shape,
  );
  return 2;
}
