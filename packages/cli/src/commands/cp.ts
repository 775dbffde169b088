import { setMaxListeners } from 'node:events';
import { mkdir, open, rename, rm, utimes } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';

import type { Command } from 'commander';
import type { Mill } from '@millpool/client';
import { asMillpoolError, bytesOfName, MillpoolError, nameOf, parsePath } from '@millpool/protocol';
import type { Entry, ErrorShape } from '@millpool/protocol';

import { PartlyDone } from '../command-context.ts';
import type { CommandContext, Tools } from '../command-context.ts';
import { listPages } from '../list-pages.ts';
import { ownDirectory } from '../own-directory.ts';
import { ProgressBar } from '../progress-bar.ts';

const copiesAtOnce = 16;

export function cpCommand(program: Command, context: CommandContext): void {
  program
    .command('cp')
    .description('Copy files out of the namespace into a local directory, through the cache')
    .argument('<path...>', 'absolute paths in the namespace, then the local directory, which is made if need be')
    .option('-R, --recursive', 'copy directories with all that is below them')
    .action((paths: string[], options: { recursive?: boolean }) =>
      context.run((tools) => runCp(paths, options.recursive === true, tools)),
    );
}

/** One file to copy: what, and where below the target directory. */
interface Copy {
  readonly entry: Entry;
  readonly parts: readonly string[];
}

async function runCp(paths: readonly string[], recursive: boolean, tools: Tools): Promise<void> {
  const target = paths.at(-1);
  const sources = paths.slice(0, -1);
  if (target === undefined || sources.length === 0) {
    throw new MillpoolError({
      code: 'invalid',
      message: 'cp needs at least one path and a local directory.',
      remedy: 'For example: millpool cp /train/a.png .',
    });
  }
  checkNames(sources);
  const directory = resolve(target);
  await ownDirectory(directory, { what: 'The target', setting: 'the last argument', mode: 0o777 });
  const mill = await tools.session.mill();
  const copies: Copy[] = [];
  const failures: ErrorShape[] = [];
  for (const source of sources) copies.push(...(await planCopies(source, recursive, tools)));

  const bar = new ProgressBar(
    tools.output.lively,
    'copied',
    copies.reduce((sum, copy) => sum + copy.entry.size, 0),
  );
  const queue = copies.values();
  const stop = new AbortController();
  const signal = AbortSignal.any([tools.signal, stop.signal]);
  setMaxListeners(0, signal);
  const worker = async (): Promise<void> => {
    for (const copy of queue) {
      signal.throwIfAborted();
      const { entry, parts } = copy;
      const failure = await copyFile(mill, copy, directory, signal).then(() => null, asMillpoolError);
      signal.throwIfAborted();
      bar.advance(entry.size);
      if (failure !== null) failures.push({ ...failure.shape, path: entry.path });
      else tools.output.result({ path: entry.path, to: join(directory, ...parts) }, '');
    }
  };
  try {
    await Promise.all(Array.from({ length: copiesAtOnce }, worker));
  } finally {
    stop.abort();
    bar.stop();
  }
  if (failures.length > 0) throw new PartlyDone(failures);
}

/** Two of one name would be one file, or one directory, and the last to come would win. */
function checkNames(sources: readonly string[]): void {
  const names = new Map<string, string>();
  for (const source of sources) {
    const path = parsePath(source);
    const other = names.get(nameOf(path));
    names.set(nameOf(path), path);
    if (other === undefined) continue;
    throw new MillpoolError({
      code: 'invalid',
      message: `${other} and ${path} would have one name in the target.`,
      remedy: 'Copy them one after another, into directories of their own.',
      path,
    });
  }
}

async function planCopies(path: string, recursive: boolean, tools: Tools): Promise<Copy[]> {
  const { session, signal } = tools;
  const { results } = await session.call('stat', { paths: [path] }, { signal });
  const [found] = results;
  if (found === undefined) return [];
  if ('error' in found) throw new MillpoolError(found.error);
  if (found.type === 'file') return [{ entry: found, parts: [localName(nameOf(found.path))] }];
  if (!recursive) {
    throw new MillpoolError({
      code: 'invalid',
      message: `${path} is a directory.`,
      remedy: 'Add -R to copy it.',
      path,
    });
  }
  const root = found.path === '/' ? '' : found.path;
  const top = root === '' ? [] : [localName(nameOf(root))];
  const copies: Copy[] = [];
  for await (const page of listPages(path, true, tools)) {
    for (const entry of page) {
      const below = entry.path.slice(root.length + 1).split('/');
      copies.push({ entry, parts: [...top, ...below.map(localName)] });
    }
  }
  return copies;
}

/** The name on disk. One that would leave its directory (`..`, or with a `/` in it) keeps its escaped form. */
function localName(name: string): string {
  const bytes = Buffer.from(bytesOfName(name));
  const text = bytes.toString('utf8');
  const unsafe = text === '.' || text === '..' || text === '' || text.includes('/') || text.includes('\0');
  return unsafe || !Buffer.from(text).equals(bytes) ? name : text;
}

/** Whole or not at all: written beside its place and renamed into it. */
async function copyFile(mill: Mill, { entry, parts }: Copy, directory: string, signal: AbortSignal): Promise<void> {
  const to = join(directory, ...parts);
  const partial = `${to}.millpool-${process.pid}`;
  await mkdir(dirname(to), { recursive: true });
  const file = await open(partial, 'w');
  try {
    for await (const chunk of mill.stream(entry.path, { signal })) await file.writeFile(chunk);
    await file.close();
    if (entry.mtimeMs !== null) await utimes(partial, entry.mtimeMs / 1000, entry.mtimeMs / 1000);
    await rename(partial, to);
  } catch (error) {
    await file.close().catch(() => undefined);
    await rm(partial, { force: true });
    throw error;
  }
}
