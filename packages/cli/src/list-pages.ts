import { listLimitMax, unpackEntries } from '@millpool/protocol';
import type { Entry, ListReply } from '@millpool/protocol';

import type { Tools } from './command-context.ts';

/** The first page is short, so that something is shown soon. */
const firstLimit = 256;
const limit = listLimitMax / 2;

/** A directory in name order, or every file below it in path order, a page at a time. A page may be empty. */
export async function* listPages(
  path: string,
  recursive: boolean,
  { session, signal }: Tools,
): AsyncGenerator<readonly Entry[]> {
  let cursor: string | null = null;
  do {
    const request = { path, recursive, cursor, limit: cursor === null ? firstLimit : limit };
    const page: ListReply = await session.call('list', request, { signal });
    yield unpackEntries(page.entries);
    cursor = page.cursor;
  } while (cursor !== null);
}
