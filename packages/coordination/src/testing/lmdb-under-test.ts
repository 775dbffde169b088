import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { HandClock } from '@millpool/host/testing';
import { openLmdbStore } from '../lmdb/lmdb-store.ts';
import type { CoordStore } from '../store.ts';
import type { StoreUnderTest } from './suite.ts';

const historyRevisions = 50;

/** An empty LMDB store in a directory of its own, on a clock turned by hand, gone when the test ends. */
export async function lmdbUnderTest(
  t: TestContext,
  wrap: (store: CoordStore) => CoordStore = (store) => store,
): Promise<StoreUnderTest> {
  const directory = await mkdtemp(join(tmpdir(), 'millpool-coordination-'));
  const clock = new HandClock();
  const open = async (): Promise<CoordStore> => openLmdbStore(directory, { clock, historyRevisions });
  let store = await open();
  t.after(async () => {
    await store.close();
    await rm(directory, { recursive: true });
  });
  return {
    store: wrap(store),
    passSeconds: (seconds) => clock.advance(seconds * 1_000),
    // It drops it by itself.
    dropHistory: () => Promise.resolve(),
    async reopen() {
      await store.close();
      store = await open();
      return wrap(store);
    },
  };
}
