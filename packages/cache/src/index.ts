export { startCache } from './start.ts';
export type { CacheConfig, CacheDaemon, CacheParts } from './start.ts';
export { diskBelow } from './disk.ts';
export { tierDirectories } from './tier-directories.ts';
export { sizeDevices } from './device-size.ts';
export type { LeftOut } from './left-out.ts';
export type { DeviceSize } from './device-size.ts';
