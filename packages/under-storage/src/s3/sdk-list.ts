import { Buffer } from 'node:buffer';

import type { ListObjectsV2CommandOutput } from '@aws-sdk/client-s3';

import type { BucketList } from './bucket-list.ts';

/** The answer to a LIST as the SDK read it. */
export function listOf(output: ListObjectsV2CommandOutput): BucketList {
  const { Contents = [], CommonPrefixes = [], EncodingType, IsTruncated, Name, KeyCount } = output;
  const bytesOf = (text: string): Buffer => Buffer.from(EncodingType === 'url' ? formDecoded(text) : text);
  return {
    objects: Contents.map(({ Key, Size, ETag, LastModified }) => ({
      key: Key === undefined ? null : bytesOf(Key),
      size: Size ?? null,
      etag: ETag,
      mtimeMs: LastModified?.getTime() ?? null,
    })),
    prefixes: CommonPrefixes.map(({ Prefix }) => bytesOf(Prefix ?? '')),
    isList: IsTruncated !== undefined || Name !== undefined || KeyCount !== undefined,
    isTruncated: IsTruncated ?? false,
    token: output.NextContinuationToken ?? null,
  };
}

/** S3 encodes like a form; a text that is not encoded after all is taken as it is. */
function formDecoded(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    return text;
  }
}
