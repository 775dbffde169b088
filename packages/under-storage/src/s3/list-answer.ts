import type { Buffer } from 'node:buffer';

import { startsWith } from '../key.ts';
import { SourceFiles } from '../source-files.ts';
import type { SourceFile } from '../source-files.ts';
import type { Skipped } from '../under-storage.ts';
import type { BucketList } from './bucket-list.ts';
import { brokenAnswer } from './s3-error.ts';
import type { S3Place } from './s3-error.ts';
import { versionTag } from './version-tag.ts';

const slash = 0x2f;

/** One answer to a LIST, checked and in bytes. */
export interface ListAnswer {
  readonly files: SourceFiles;
  readonly directories: readonly Buffer[];
  readonly skipped: readonly Skipped[];
  /** The last key or prefix of the answer, also when it is none of the above. */
  readonly last: Buffer | null;
  readonly truncated: boolean;
  readonly token: string | null;
}

/**
 * Reads an answer as leniently as it can be read without losing a file: a missing ETag and directory markers are taken
 * as they are. An entry without key, size or version, out of its prefix or out of order is `source-broken`, and so is a
 * page that is no LIST at all.
 */
export function readListAnswer(list: BucketList, prefix: Buffer, place: S3Place): ListAnswer {
  const doing = `the LIST of s3://${place.bucket}/${prefix.toString()}`;
  const broken = (fault: string): Error => brokenAnswer(place, doing, fault);
  if (!list.isList) throw broken('is no list');
  const files: SourceFile[] = [];
  const skipped: Skipped[] = [];
  const keys: Buffer[] = [];
  for (const { key, size, etag, mtimeMs } of list.objects) {
    if (key === null || size === null) throw broken('has an entry without key or size');
    keys.push(key);
    const tag = versionTag(etag, mtimeMs);
    if (tag === null) throw broken(`gives neither an ETag nor a time for ${JSON.stringify(key.toString())}`);
    if (key.at(-1) !== slash) files.push({ key, size, mtimeMs: mtimeMs ?? 0, tag });
    else if (size > 0) skipped.push({ key, why: 'marker' });
  }
  const { prefixes: directories, isTruncated: truncated, token } = list;
  for (const names of [keys, directories]) {
    const at = names.findIndex((name, i) => !startsWith(name, prefix) || isBefore(name, names[i - 1]));
    if (at >= 0) throw broken(`has ${JSON.stringify(names[at]?.toString())} out of its prefix or order`);
  }
  const last = latest(keys.at(-1), directories.at(-1));
  return { files: SourceFiles.of(files), directories, skipped, last, truncated, token };
}

function isBefore(name: Buffer, other: Buffer | undefined): boolean {
  return other !== undefined && name.compare(other) <= 0;
}

function latest(one: Buffer | undefined, other: Buffer | undefined): Buffer | null {
  if (one === undefined || other === undefined) return one ?? other ?? null;
  return one.compare(other) > 0 ? one : other;
}
