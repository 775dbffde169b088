import { packObjects, spliceObjects } from '@millpool/native';
import { isWeak } from '@millpool/protocol';
import type { ErrorShape } from '@millpool/protocol';

import type { HotNames } from './hot-names.ts';
import { isDirectory } from './resolved-entry.ts';
import type { LookupResult, ResolvedEntry } from './resolved-entry.ts';

/** Before the first object of a list. */
const listHeadBytes = 4;

/** Files at paths, as the data path asks their sources for them. */
export interface FoundObjects {
  /** A packed list (docs/formats.md, `object-list`) in the order asked, without those that failed. */
  readonly objects: Uint8Array;
  /** In the order asked, by place. */
  readonly failures: readonly { readonly index: number; readonly error: ErrorShape }[];
  /** Attachments of which a file is among them whose tag is weak. */
  readonly weak: readonly number[];
}

/** `lookup` is asked for those that `names` does not know. */
export async function findObjects(
  paths: readonly string[],
  names: HotNames,
  lookup: (paths: readonly string[]) => Promise<LookupResult[]>,
): Promise<FoundObjects> {
  const { objects, ends, weak } = names.find(paths);
  const left = placesLeft(ends);
  if (left.length === 0) return { objects, failures: [], weak };
  const known = ends.slice();
  const results = await lookup(left.map((place) => paths[place] as string));
  if (left.length === paths.length) return objectsOf(results);
  const { files, failures } = sorted(results, left);
  return {
    objects: files.size === 0 ? objects : spliceObjects(objects, known, files),
    failures,
    weak: [...weak, ...weakOf(files)],
  };
}

export function objectsOf(results: readonly LookupResult[]): FoundObjects {
  const { files, failures } = sorted(results, [...results.keys()]);
  return { objects: packObjects([...files.values()]), failures, weak: weakOf(files) };
}

/** Of the list that `ends` is of: those that have nothing in it. */
function placesLeft(ends: Uint32Array): number[] {
  const left: number[] = [];
  let before = listHeadBytes;
  ends.forEach((end, place) => {
    if (end === before) left.push(place);
    before = end;
  });
  return left;
}

/** Results of some places of a request. */
function sorted(results: readonly LookupResult[], places: readonly number[]) {
  const files = new Map<number, ResolvedEntry>();
  const failures: { index: number; error: ErrorShape }[] = [];
  results.forEach((result, at) => {
    const index = places[at] as number;
    if ('error' in result) failures.push({ index, error: result.error });
    else if (result.type === 'directory') failures.push({ index, error: isDirectory(result.path).shape });
    else files.set(index, result);
  });
  return { files, failures };
}

function weakOf(files: ReadonlyMap<number, ResolvedEntry>): number[] {
  return [...new Set([...files.values()].filter(({ tag }) => isWeak(tag)).map(({ attachment }) => attachment))];
}
