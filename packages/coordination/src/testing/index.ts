export { broken } from './broken-store.ts';
export { always, coordStoreSuite, put } from './suite.ts';
export type { StoreUnderTest, SuiteCase } from './suite.ts';
export { MemoryState, MemoryStore } from './memory-store.ts';
