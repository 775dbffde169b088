import { MillpoolError } from '@millpool/protocol';

import { Bucket } from './bucket.ts';
import type { BucketSettings } from './bucket.ts';
import type { ListAnswer } from './list-answer.ts';
import { S3RequestError } from './s3-error.ts';

/** Where AWS tells of a bucket in any region, and what servers of one region usually call it. */
const defaultRegion = 'us-east-1';

interface Place {
  readonly bucket: string;
  readonly prefix: string;
}

/** A bucket after one LIST of its prefix that worked, in the region that the bucket says it is in. */
export async function openBucket(place: Place, settings: BucketSettings, signal: AbortSignal): Promise<Bucket> {
  const first = await Bucket.in(settings.region ?? defaultRegion, place.bucket, settings);
  try {
    return await checked(first, place, signal);
  } catch (thrown) {
    const region = thrown instanceof S3RequestError ? await betterRegion(first, thrown, signal) : null;
    first.close();
    if (region === null) throw thrown;
    const second = await Bucket.in(region, place.bucket, settings);
    return checked(second, place, signal);
  }
}

async function betterRegion(bucket: Bucket, error: S3RequestError, signal: AbortSignal): Promise<string | null> {
  const told = error.failure.bucketRegion ?? (error.isRedirect ? await bucket.findRegion(signal) : null);
  return told === bucket.address.region ? null : told;
}

/** An empty bucket may be attached, but a prefix with nothing below it is a slip of the pen. */
async function checked(bucket: Bucket, { prefix }: Place, signal: AbortSignal): Promise<Bucket> {
  const answer = await firstKey(bucket, prefix, signal);
  if (prefix === '' || answer.last !== null) return bucket;
  const object = prefix.slice(0, -1);
  const source = `s3://${bucket.address.bucket}/${object}`;
  const isObject = (await firstKey(bucket, object, signal)).files.find(Buffer.from(object)) !== null;
  if (isObject) {
    const remedy = 'Give the prefix that it is below.';
    throw new MillpoolError({ code: 'invalid', message: `${source} is an object`, remedy });
  }
  const remedy = 'Check the prefix; a whole bucket can be attached while it is empty.';
  throw new MillpoolError({ code: 'not-found', message: `nothing is below ${source}`, remedy });
}

async function firstKey(bucket: Bucket, prefix: string, signal: AbortSignal): Promise<ListAnswer> {
  const query = { prefix, startAfter: null, delimited: false, keysMax: 1, token: null };
  return bucket.list(query, signal);
}
