import { existsSync } from 'node:fs';
import { realpath } from 'node:fs/promises';
import { join } from 'node:path';

import { openLmdbStore } from '@millpool/coordination';
import { attachmentRecords, decodeAttachment } from '@millpool/metadata';
import { parseSource } from '@millpool/under-storage';

/** The folders, by their real paths, that a state directory says are attached; none where there is no state. */
export async function recordedFolders(stateDirectory: string): Promise<readonly string[]> {
  const directory = join(stateDirectory, 'coordination');
  if (!existsSync(join(directory, 'coordination.mdb'))) return [];
  const store = await openLmdbStore(directory);
  try {
    const records = await attachmentRecords(store);
    const folders = records.flatMap(({ value }) => {
      const source = parseSource(decodeAttachment(value).source);
      return source.scheme === 'local' ? [source.folder] : [];
    });
    return await Promise.all(folders.map((folder) => realpath(folder).catch(() => folder)));
  } finally {
    await store.close();
  }
}
