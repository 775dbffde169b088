import { test } from 'node:test';
import { HandClock } from '@millpool/host/testing';
import { MemoryState, MemoryStore } from './memory-store.ts';
import { coordStoreSuite } from './suite.ts';

for (const { name, run } of coordStoreSuite) {
  test(`memory: ${name}`, { timeout: 30_000 }, async () => {
    const [state, clock] = [new MemoryState(50), new HandClock()];
    let store = new MemoryStore(state, clock);
    await run({
      store,
      passSeconds: (seconds) => clock.advance(seconds * 1_000),
      // It drops it by itself.
      dropHistory: () => Promise.resolve(),
      async reopen() {
        await store.close();
        store = new MemoryStore(state, clock);
        return store;
      },
    });
    await store.close();
  });
}
