import { resolve } from 'node:path';

import { MillpoolError } from '@millpool/protocol';

/** A SOURCE argument made independent of the directory it was typed in. */
export function absoluteSource(source: string): { readonly source: string; readonly s3: boolean } {
  if (source.startsWith('s3://')) return { source: source.replace(/\/+$/, ''), s3: true };
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(source)?.[1];
  if (scheme !== undefined) {
    throw new MillpoolError({
      code: 'unsupported',
      message: `${source} is of a kind of under-storage that Millpool does not know (${scheme}).`,
      remedy: 'Use s3://BUCKET/PREFIX or the path of a folder.',
    });
  }
  return { source: resolve(source), s3: false };
}
