import { realpath } from 'node:fs/promises';
import { dirname } from 'node:path';

import type { LeftOut } from '@millpool/cache';
import { asMillpoolError, isBelow, MillpoolError } from '@millpool/protocol';
import type { Tier } from '@millpool/protocol';

import { readNotes, writeNotes } from './directory-notes.ts';
import type { DirectoryNote } from './directory-notes.ts';
import { mountPointOf } from './mounts.ts';
import type { Mounts } from './mounts.ts';
import { ownDirectory } from './own-directory.ts';
import type { DirectoryUse } from './own-directory.ts';

/** Those that a start can use, and those that it goes without. */
export interface DataDirectories {
  readonly usable: readonly string[];
  readonly leftOut: readonly LeftOut[];
}

export interface GivenDirectory {
  readonly path: string;
  readonly tier: Tier;
  readonly use: DirectoryUse;
}

export interface Given {
  readonly directories: readonly GivenDirectory[];
  readonly stateDirectory: string;
}

/**
 * Makes the data directories that can be had. One is left out where the filesystem that it lay on, or that fstab names
 * for it, is not mounted: what was written there would fill another one, and be hidden by the mount. Also one that
 * cannot be written to. Throws where none of the fast tier is left, or the state lies in what is left out: without it a
 * start would know of no attachment, and would begin another cache.
 */
export async function findDataDirectories(given: Given, mounts: Mounts): Promise<DataDirectories> {
  const { directories, stateDirectory } = given;
  const notes = await readNotes(directories.map(({ path }) => path));
  const usable: string[] = [];
  const leftOut: { readonly out: LeftOut; readonly error: MillpoolError }[] = [];
  for (const { path, tier, use } of directories) {
    try {
      const missing = await missingMount(path, notes.get(path), mounts);
      if (missing !== null) throw notMounted(path, missing);
      await ownDirectory(path, use);
      await checkWritable(path, [...notes.values()]);
      usable.push(path);
    } catch (thrown) {
      const error = asMillpoolError(thrown);
      const sizeBytes = notes.get(path)?.sizeBytes ?? null;
      leftOut.push({ out: { path, tier, reason: error.message, sizeBytes }, error });
    }
  }
  const isFastLeft = directories.some(({ path, tier }) => tier === 'fast' && usable.includes(path));
  const ofFast = leftOut.find(({ out }) => out.tier === 'fast');
  if (!isFastLeft && ofFast !== undefined) throw ofFast.error;
  const isAbove = (path: string): boolean => path === stateDirectory || isBelow(stateDirectory, path);
  const ofState = leftOut.find(({ out }) => isAbove(out.path));
  if (ofState !== undefined) throw withoutState(stateDirectory, ofState.error);
  return { usable, leftOut: leftOut.map(({ out }) => out) };
}

/** What the next start is to know, in each that is used. A full one does without. */
export async function noteDirectories(
  used: readonly { readonly path: string; readonly sizeBytes: number }[],
  leftOut: readonly LeftOut[],
  { mounted }: Mounts,
): Promise<void> {
  const before = await readNotes(used.map(({ path }) => path));
  const notes: DirectoryNote[] = [];
  for (const { path, sizeBytes } of used) {
    notes.push({ path, mountPoint: mountPointOf(await nearest(path), mounted) ?? '/', sizeBytes });
  }
  for (const { path } of leftOut) notes.push(...[before.get(path) ?? []].flat());
  for (const { path } of used) await writeNotes(path, notes).catch(() => undefined);
}

/** Where a filesystem is not mounted on which a directory belongs; null where none is missing. */
async function missingMount(
  path: string,
  note: DirectoryNote | undefined,
  { mounted, expected }: Mounts,
): Promise<string | null> {
  const real = await nearest(path);
  const here = mountPointOf(real, mounted) ?? '/';
  for (const point of [note?.mountPoint ?? null, mountPointOf(real, expected)]) {
    if (point !== null && !mounted.has(point) && isBelow(point, here)) return point;
  }
  return null;
}

/** The path without symlinks, as far as it is there. */
async function nearest(path: string): Promise<string> {
  const real = await realpath(path).catch(() => null);
  if (real !== null || path === '/') return real ?? path;
  const above = await nearest(dirname(path));
  return `${above === '/' ? '' : above}/${path.slice(path.lastIndexOf('/') + 1)}`;
}

/** A directory without room still has segments to be read. */
async function checkWritable(path: string, notes: readonly DirectoryNote[]): Promise<void> {
  await writeNotes(path, notes).catch((error: NodeJS.ErrnoException) => {
    // The last: another daemon starts there at the same moment, and its lock decides.
    if (error.code === 'ENOSPC' || error.code === 'EDQUOT' || error.code === 'ENOENT') return;
    throw new MillpoolError({
      code: 'io',
      message: `The data directory ${path} cannot be written to: ${error.message}.`,
      remedy: 'See to its device (dmesg), or name another directory with --data or MILLPOOL_DATA.',
      path,
    });
  });
}

function notMounted(path: string, point: string): MillpoolError {
  return new MillpoolError({
    code: 'io',
    message: `The data directory ${path} is not used: ${point} is not mounted.`,
    remedy: `Mount ${point} and start again. If it is to be without that mount, start once without ${path}.`,
    path,
  });
}

function withoutState(stateDirectory: string, error: MillpoolError): MillpoolError {
  return new MillpoolError({
    code: error.code,
    message: `The state directory ${stateDirectory} cannot be used. ${error.message}`,
    remedy: `${error.remedy} Where the state lies is set by MILLPOOL_STATE_DIRECTORY.`,
    path: stateDirectory,
  });
}
