import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { openLmdbStore } from '@millpool/coordination';
import { silentLog } from '@millpool/host';

import { directoryOf } from './directory.ts';
import { Partitions } from './partitions.ts';
import { MetadataStore } from './store/environment.ts';
import { allDirectories, allMarked, attachmentOfKey, directoryKey } from './store/keys.ts';
import { decodeDirectory, encodeDirectory } from './store/records.ts';
import { Sweep } from './sweep.ts';

const shards = 16;

test('what is stored of an attachment goes when it is no more, also one that went while nobody looked', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'millpool-sweep-'));
  const coordination = await openLmdbStore(join(folder, 'coordination'));
  const store = await MetadataStore.open({ directory: folder, coordination: 'one', log: silentLog });
  t.after(async () => {
    await store.close();
    await coordination.close();
    await rm(folder, { recursive: true });
  });
  const partitions = await Partitions.open({ store, coordination, shards, namesMax: 10 });
  const list = async (attachment: number, prefix: string): Promise<void> => {
    const directory = directoryOf({ attachment, path: `/${attachment}`, prefix: Buffer.from(prefix) }, shards);
    const times = { generation: 1, listedAtMs: 1, subtreeListedAtMs: 0 };
    const record = { state: 'complete', ...times, hasOddFiles: false, hasDirectories: false } as const;
    const value = encodeDirectory({ ...record, attachment, prefix: directory.prefix });
    await store.write([{ key: directoryKey(directory), value }]);
  };
  const swept = async (...attached: readonly number[]): Promise<void> => {
    const sweep = new Sweep(store, partitions);
    await sweep.start(
      Promise.resolve(),
      () => attached,
      (error) => assert.fail(error as Error),
    );
    await sweep.stop();
  };
  const stored = (): number[] => store.first(allDirectories, 100).map(({ value }) => decodeDirectory(value).attachment);
  const marked = (): number[] => store.first(allMarked, 100).map(({ key }) => attachmentOfKey(key));

  await swept(1, 2, 3);
  for (const attachment of [1, 2, 3]) for (const prefix of ['', 'a/', 'b/']) await list(attachment, prefix);
  assert.deepEqual(marked(), [1, 2, 3]);
  await swept(1, 2, 3);
  assert.equal(stored().length, 9);
  await swept(2);
  assert.deepEqual([stored().sort(), marked()], [[2, 2, 2], [2]]);
  await swept(2, 4);
  assert.deepEqual([stored().length, marked()], [3, [2, 4]]);
  await swept();
  assert.deepEqual([stored(), marked()], [[], []]);
});
