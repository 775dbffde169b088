import type { ListPage, SourceFile, UnderStorage } from '@millpool/under-storage';

import type { EntryRecord } from './store/records.ts';

const keysAtOnce = 1_000;

export const directoryEntry: EntryRecord = { type: 'directory', size: 0, mtimeMs: null, tag: '' };

export function fileEntry({ size, mtimeMs, tag }: SourceFile): EntryRecord {
  return { type: 'file', size, mtimeMs, tag };
}

/** The pages of all that is below a prefix, in the order of the keys. */
export async function* pagesBelow(
  storage: UnderStorage,
  prefix: Uint8Array,
  signal: AbortSignal,
): AsyncGenerator<ListPage> {
  yield* pages(storage, { prefix, recursive: true, limit: keysAtOnce }, signal);
}

/** The pages of what is directly in the directory with a prefix. */
export async function* pagesOf(
  storage: UnderStorage,
  prefix: Uint8Array,
  signal: AbortSignal,
): AsyncGenerator<ListPage> {
  yield* pages(storage, { prefix, recursive: false, limit: keysAtOnce }, signal);
}

/** Whether anything at all is below a prefix. */
export async function hasAnyBelow(storage: UnderStorage, prefix: Uint8Array, signal: AbortSignal): Promise<boolean> {
  for await (const page of pages(storage, { prefix, recursive: true, limit: 1 }, signal)) {
    if (page.files.length > 0) return true;
  }
  return false;
}

async function* pages(
  storage: UnderStorage,
  request: { readonly prefix: Uint8Array; readonly recursive: boolean; readonly limit: number },
  signal: AbortSignal,
): AsyncGenerator<ListPage> {
  for (let after: Uint8Array | null = null, more = true; more;) {
    const page: ListPage = await storage.list({ ...request, after, signal });
    yield page;
    after = page.next;
    more = after !== null;
  }
}
