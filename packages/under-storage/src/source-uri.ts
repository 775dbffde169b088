import { isAbsolute, resolve } from 'node:path';

import { MillpoolError } from '@millpool/protocol';

/** What somebody wrote as SOURCE, told apart by its scheme; nothing is asked of the source yet. */
export type SourceUri =
  /** `prefix` is empty or ends in one `/` more than was written. */
  | { readonly scheme: 's3'; readonly bucket: string; readonly prefix: string }
  /** An absolute path. */
  | { readonly scheme: 'local'; readonly folder: string };

const bucketName = /^[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]$/;

/**
 * `s3://bucket`, `s3://bucket/prefix` (as `aws s3` takes it: nothing is percent-decoded), `file:///folder`, or the path
 * of a folder, which may be relative to the working directory. Anything else is `invalid`.
 */
export function parseSource(source: string): SourceUri {
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):\/\//.exec(source)?.[1];
  if (scheme === undefined) return { scheme: 'local', folder: folderOf(source, source) };
  const rest = source.slice(scheme.length + 3);
  switch (scheme.toLowerCase()) {
    case 's3':
      return s3Source(source, rest);
    case 'file':
      return { scheme: 'local', folder: folderOf(source, rest.replace(/^localhost\//, '/')) };
    default:
      throw badSource(source, `its scheme ${scheme}:// is not known`);
  }
}

/** The last name of a source, for where it is attached by default; the bucket itself when there is no prefix. */
export function sourceName(source: SourceUri): string {
  const names = (source.scheme === 's3' ? `${source.bucket}/${source.prefix}` : source.folder).split('/');
  return names.findLast((name) => name !== '') ?? '';
}

function s3Source(source: string, rest: string): SourceUri {
  const [bucket = '', ...others] = rest.split('/');
  if (!bucketName.test(bucket)) throw badSource(source, `${JSON.stringify(bucket)} cannot be the name of a bucket`);
  const prefix = others.join('/');
  return { scheme: 's3', bucket, prefix: prefix === '' || prefix.endsWith('/') ? prefix : `${prefix}/` };
}

function folderOf(source: string, path: string): string {
  if (path === '') throw badSource(source, 'it is empty');
  if (path.includes('\0')) throw badSource(source, 'it holds a NUL character');
  if (source !== path && !isAbsolute(path)) throw badSource(source, 'a file:// URL needs an absolute path');
  return resolve(path);
}

function badSource(source: string, fault: string): MillpoolError {
  return new MillpoolError({
    code: 'invalid',
    message: `the source ${JSON.stringify(source)} cannot be used: ${fault}`,
    remedy: 'Give s3://BUCKET/PREFIX or the path of a folder.',
  });
}
