import { readListPage } from '@millpool/native';

import { SourceFiles } from '../source-files.ts';
import type { ListAnswer } from './list-answer.ts';

/**
 * An answer in the form in which servers send it, with nothing in it that could be wrong; its chunks are gone then.
 * Null for any other.
 */
export function listAnswerIn(chunks: readonly Uint8Array[], prefix: Uint8Array): ListAnswer | null {
  const page = readListPage(chunks, prefix);
  if (page === null) return null;
  const { files, directories, markers, last, truncated, token } = page;
  const skipped = markers.map((key) => ({ key, why: 'marker' as const }));
  return { files: SourceFiles.packed(files), directories, skipped, last, truncated, token };
}
