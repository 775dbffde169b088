import { Buffer } from 'node:buffer';

import type { ListObjectsV2CommandOutput } from '@aws-sdk/client-s3';

import { startsWith } from '../key.ts';
import type { Skipped, SourceFile } from '../under-storage.ts';
import { brokenAnswer } from './s3-error.ts';
import type { S3Place } from './s3-error.ts';
import { versionTag } from './version-tag.ts';

const slash = 0x2f;

/** One answer to a LIST, checked and in bytes. */
export interface ListAnswer {
  readonly files: readonly SourceFile[];
  readonly directories: readonly Buffer[];
  readonly skipped: readonly Skipped[];
  /** The last key or prefix of the answer, also when it is none of the above. */
  readonly last: Buffer | null;
  readonly truncated: boolean;
  readonly token: string | null;
}

/**
 * Reads an answer as leniently as it can be read without losing a file: a missing ETag, an encoding that was not asked
 * for or was ignored, and directory markers are taken as they are. An entry without key, size or version, out of its
 * prefix or out of order is `source-broken`, and so is a page that is no LIST at all.
 */
export function readListAnswer(output: ListObjectsV2CommandOutput, prefix: Buffer, place: S3Place): ListAnswer {
  const doing = `the LIST of s3://${place.bucket}/${prefix.toString()}`;
  const broken = (fault: string): Error => brokenAnswer(place, doing, fault);
  if (output.IsTruncated === undefined && output.Name === undefined && output.KeyCount === undefined) {
    throw broken('is no list');
  }
  const decoded = decoderFor(output.EncodingType);
  const files: SourceFile[] = [];
  const skipped: Skipped[] = [];
  const keys: Buffer[] = [];
  for (const { Key, Size, ETag, LastModified } of output.Contents ?? []) {
    if (Key === undefined || Size === undefined) throw broken('has an entry without key or size');
    const key = decoded(Key);
    keys.push(key);
    const tag = versionTag(ETag, LastModified);
    if (tag === null) throw broken(`gives neither an ETag nor a time for ${JSON.stringify(Key)}`);
    if (key.at(-1) !== slash) files.push({ key, size: Size, mtimeMs: LastModified?.getTime() ?? 0, tag });
    else if (Size > 0) skipped.push({ key, why: 'marker' });
  }
  const directories = (output.CommonPrefixes ?? []).map(({ Prefix }) => decoded(Prefix ?? ''));
  for (const names of [keys, directories]) {
    const at = names.findIndex((name, i) => !startsWith(name, prefix) || isBefore(name, names[i - 1]));
    if (at >= 0) throw broken(`has ${JSON.stringify(names[at]?.toString())} out of its prefix or order`);
  }
  return {
    files,
    directories,
    skipped,
    last: latest(keys.at(-1), directories.at(-1)),
    truncated: output.IsTruncated ?? false,
    token: output.NextContinuationToken ?? null,
  };
}

/** S3 encodes like a form, where it says that it did; a text that is not encoded after all is taken as it is. */
function decoderFor(encoding: string | undefined): (text: string) => Buffer {
  if (encoding !== 'url') return (text) => Buffer.from(text);
  return (text) => {
    try {
      return Buffer.from(decodeURIComponent(text.replaceAll('+', ' ')));
    } catch {
      return Buffer.from(text);
    }
  };
}

function isBefore(name: Buffer, other: Buffer | undefined): boolean {
  return other !== undefined && name.compare(other) <= 0;
}

function latest(one: Buffer | undefined, other: Buffer | undefined): Buffer | null {
  if (one === undefined || other === undefined) return one ?? other ?? null;
  return one.compare(other) > 0 ? one : other;
}
