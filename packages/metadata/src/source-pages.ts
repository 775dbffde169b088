import type { ListPage, SourceFile, UnderStorage } from '@millpool/under-storage';

import type { EntryRecord } from './store/records.ts';

export const directoryEntry: EntryRecord = { type: 'directory', size: 0, mtimeMs: null, tag: '' };

export function fileEntry({ size, mtimeMs, tag }: SourceFile): EntryRecord {
  return { type: 'file', size, mtimeMs, tag };
}

/** Whether anything at all is below a prefix. */
export async function hasAnyBelow(storage: UnderStorage, prefix: Uint8Array, signal: AbortSignal): Promise<boolean> {
  for (let after: Uint8Array | null = null, more = true; more;) {
    const page: ListPage = await storage.list({ prefix, recursive: true, limit: 1, after, signal });
    if (page.files.length > 0) return true;
    after = page.next;
    more = after !== null;
  }
  return false;
}
