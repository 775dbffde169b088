export { underStorageContract } from './contract.ts';
export type { UnderStorageFixture } from './contract.ts';
