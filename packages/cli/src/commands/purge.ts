import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline/promises';

import type { Command } from 'commander';
import { asMillpoolError, formatBytes, isBelow, MillpoolError } from '@millpool/protocol';

import { PartlyDone } from '../command-context.ts';
import type { CommandContext, Tools } from '../command-context.ts';
import { lockDirectory } from '../directory-lock.ts';
import type { Unlock } from '../directory-lock.ts';
import { directoriesOf, repeated } from '../node-directories.ts';
import type { DataFlags } from '../node-directories.ts';
import { printable } from '../output.ts';
import { isDataDirectory, OwnFiles } from '../own-files.ts';
import type { OwnPath, Places } from '../own-files.ts';

interface PurgeOptions extends DataFlags {
  readonly dryRun?: boolean;
  readonly yes?: boolean;
}

export function purgeCommand(program: Command, context: CommandContext): void {
  program
    .command('purge')
    .description('Remove all that Millpool put on this machine: cache, state, sockets; sources are not touched')
    .option('--data <dir>', 'where the cache lies, as `up` was told; repeat it for several devices', repeated)
    .option('--slow-data <dir>', 'where its slow tier lies, as `up` was told', repeated)
    .option('--dry-run', 'only list what would be removed')
    .option('-y, --yes', 'do not ask')
    .addHelpText(
      'after',
      `
What others put beside it stays, and is listed. Stop the daemon first, with \`millpool down\`.
Exit codes: 0 all is gone, 1 a daemon runs, 2 --yes is missing and nobody can be asked, 3 not all could be removed (it
is listed), 6 refused, 130 the answer was not yes.`,
    )
    .action((options: PurgeOptions) => context.run((tools) => runPurge(options, tools)));
}

async function runPurge({ dryRun = false, yes = false, ...data }: PurgeOptions, tools: Tools): Promise<void> {
  const { settings } = tools;
  const { socket, logFile } = settings.config;
  const { dataDirectories, slowDataDirectories, stateDirectory } = directoriesOf(settings, data);
  const directories = new Set([...dataDirectories, ...(slowDataDirectories ?? [])]);
  const ours: string[] = [];
  for (const directory of directories) if (await isDataDirectory(directory)) ours.push(directory);
  const places = { dataDirectories: ours, stateDirectory, socket };
  const locks: Unlock[] = [];
  try {
    for (const directory of ours) locks.push(await lockDirectory(directory));
    const own = await OwnFiles.find(places, await sourcesBeside(places, tools));
    const log = logFile !== null && existsSync(logFile) ? [logFile] : [];
    const staying = [...own.foreign, ...log];
    for (const path of staying) tools.output.note(`Stays: ${printable(path)}`);
    if (!yes || dryRun) {
      for (const path of own.paths) tellPath(path, tools);
      tellSum(own.paths, { staying, isRemoved: false }, tools);
    }
    if (!dryRun && (yes || own.paths.length > 0)) {
      if (!yes) await agreed(own, tools);
      const removed = await removeAll(own, tools);
      tellSum(removed, { staying, isRemoved: true }, tools);
    }
    if (own.failures.length > 0) throw new PartlyDone(own.failures);
  } finally {
    for (const unlock of locks) await unlock();
  }
}

/** The folders of sources; `refused` where one and a directory of ours lie in each other. */
async function sourcesBeside({ dataDirectories, stateDirectory }: Places, { output }: Tools): Promise<string[]> {
  const sources: string[] = [];
  try {
    // Verbs that look at no state need not load what reads it.
    const { recordedFolders } = await import('../recorded-sources.ts');
    const states = new Set([stateDirectory, ...dataDirectories.map((directory) => join(directory, 'state'))]);
    for (const state of states) sources.push(...(await recordedFolders(state)));
  } catch (error) {
    output.note(`Which folders are attached cannot be read, and is not looked at: ${asMillpoolError(error).message}`);
  }
  for (const directory of [...dataDirectories, stateDirectory]) {
    const real = await realpath(directory).catch(() => directory);
    const source = sources.find((path) => path === real || isBelow(path, real) || isBelow(real, path));
    if (source === undefined || !existsSync(directory)) continue;
    throw new MillpoolError({
      code: 'refused',
      message: `${directory} and the attached folder ${source} lie in each other; nothing was removed.`,
      remedy: 'Start the daemon, `millpool detach` that folder, stop the daemon, and ask again.',
      path: directory,
    });
  }
  return sources;
}

function tellPath({ path, bytes, kind }: OwnPath, { output }: Tools): void {
  output.result({ path, bytes }, kind === 'file' ? `${printable(path)}  ${formatBytes(bytes)}` : `${printable(path)}/`);
}

/** Asks on a terminal. Throws `invalid` where there is none, and `cancelled` for anything but a yes. */
async function agreed({ paths }: OwnFiles, { output, signal }: Tools): Promise<void> {
  if (output.json || !process.stdin.isTTY || !process.stderr.isTTY) {
    throw new MillpoolError({
      code: 'invalid',
      message: 'Nothing was removed: there is nobody to ask.',
      remedy: 'Pass --yes to remove what is listed.',
    });
  }
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    // Ctrl-C and Ctrl-D close it, and answer nothing: some versions of Node reject, others leave the question open.
    const closed = once(lines, 'close').then(() => '');
    const asked = lines.question(`Remove ${sumOf(paths)}? [y/N] `, { signal }).catch(() => '');
    const answer = await Promise.race([asked, closed]);
    if (/^y(es)?$/i.test(answer.trim())) return;
  } finally {
    lines.close();
  }
  throw new MillpoolError({ code: 'cancelled', message: 'Nothing was removed.', remedy: '' });
}

/** What is gone. */
async function removeAll(own: OwnFiles, tools: Tools): Promise<readonly OwnPath[]> {
  const removed: OwnPath[] = [];
  for (const path of own.paths) {
    tools.signal.throwIfAborted();
    if (!(await own.remove(path))) continue;
    removed.push(path);
    if (tools.output.json) tellPath(path, tools);
  }
  return removed;
}

interface Outcome {
  readonly staying: readonly string[];
  readonly isRemoved: boolean;
}

function tellSum(paths: readonly OwnPath[], { staying, isRemoved }: Outcome, { output }: Tools): void {
  const sum = isRemoved ? `Removed ${sumOf(paths)}.` : `In all ${sumOf(paths)}.`;
  const text = paths.length === 0 ? 'There is nothing to remove.' : sum;
  output.result({ paths: paths.length, bytes: bytesOf(paths), isRemoved, staying }, text);
}

function sumOf(paths: readonly OwnPath[]): string {
  const files = paths.filter(({ kind }) => kind === 'file').length;
  return `${files} files and ${paths.length - files} directories, ${formatBytes(bytesOf(paths))}`;
}

function bytesOf(paths: readonly OwnPath[]): number {
  return paths.reduce((sum, { bytes }) => sum + bytes, 0);
}
