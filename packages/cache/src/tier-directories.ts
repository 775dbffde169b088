import { MillpoolError } from '@millpool/protocol';
import type { Tier } from '@millpool/protocol';

import { diskBelow } from './disk.ts';

/** What data directories a node was given. */
export interface GivenDirectories {
  readonly dataDirectories: readonly string[];
  /** Said to be slow, whatever the kernel tells. */
  readonly slowDataDirectories: readonly string[] | null;
  /** What one of `dataDirectories` is whose disk rotates. */
  readonly rotational: Tier;
}

/**
 * Each directory and its tier. Where all of `dataDirectories` rotate there is nothing faster, and they are the fast
 * tier. `invalid` where one is given twice.
 */
export async function tierDirectories(given: GivenDirectories): Promise<ReadonlyMap<string, Tier>> {
  const { dataDirectories, rotational } = given;
  const said = given.slowDataDirectories ?? [];
  const all = [...dataDirectories, ...said];
  const twice = all.find((path, n) => all.indexOf(path) !== n);
  if (twice !== undefined) throw givenTwice(twice);
  const rotating = new Set<string>();
  if (rotational === 'slow') {
    for (const path of dataDirectories) if ((await diskBelow(path)).rotates === true) rotating.add(path);
  }
  const isOnlyTier = rotating.size === dataDirectories.length;
  const tierOf = (path: string): Tier => (said.includes(path) || (rotating.has(path) && !isOnlyTier) ? 'slow' : 'fast');
  return new Map(all.map((path) => [path, tierOf(path)]));
}

function givenTwice(path: string): MillpoolError {
  return new MillpoolError({
    code: 'invalid',
    message: `${path} is given twice as a data directory.`,
    remedy: 'Name it once: by --data, or by --slow-data where its disk is the slow one.',
    path,
  });
}
