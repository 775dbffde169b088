import type { NativeDeviceRates, NativeDeviceTrial, NativeRate } from './binding.ts';
import { binding } from './load.ts';
import { called, settled } from './native-error.ts';

/** Why no ring of io_uring can be made; null where one can. */
export function ioUringFault(): string | null {
  return called(() => binding().ioUringFault());
}

/** Why files of a directory cannot be written and read past the page cache (O_DIRECT); null where they can. */
export function directFault(directory: string): string | null {
  return called(() => binding().directFault(directory));
}

/** So many bytes, by so many requests, in so long. */
export type Rate = NativeRate;
export type DeviceTrial = NativeDeviceTrial;
export type DeviceRates = NativeDeviceRates;

/** Copies between buffers of 32 MiB, two a thread, for about `seconds` (at most 60). */
export function copyRate(threads: number, seconds: number): Promise<Rate> {
  return settled(() => binding().measureCopy(threads, seconds));
}

/**
 * Writes a file without a name in a directory, past the page cache, then reads blocks of it in random order for about
 * `seconds` (at most 60). `unsupported` where the filesystem has no such reads, `full` where there is no room.
 */
export function deviceRates(directory: string, trial: DeviceTrial): Promise<DeviceRates> {
  return settled(() => binding().measureDevice(directory, trial));
}
