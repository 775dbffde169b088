import { readdir, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';

import { formatBytes, MillpoolError } from '@millpool/protocol';
import type { Size, Tier } from '@millpool/protocol';

import type { LeftOut } from './left-out.ts';

const giB = 1024 ** 3;
/** Less than a few segments of the smallest size is no cache. */
const smallestBytes = 64 * 1024 ** 2;

export interface DeviceSize {
  readonly path: string;
  readonly tier: Tier;
  readonly sizeBytes: number;
  /** Left free on the file system whatever the size says; 0 when the size was explicit. */
  readonly reserveBytes: number;
}

interface Room {
  readonly path: string;
  /** Of the filesystem, or the part of it that comes to this one of several directories on it. */
  readonly totalBytes: number;
  /** Free now, or taken by what this directory holds already. */
  readonly roomBytes: number;
  /** Left free on the file system, and the part of that which comes to this one. */
  readonly reserveBytes: number;
  readonly keptBytes: number;
}

/**
 * How much each data directory of a tier may hold. Without a setting: all that is free but min(10 %, 10 GiB) of its
 * file system. A number of bytes is dealt over the directories in the proportion of their room; those that are `away`
 * keep their parts of it. Directories on one file system share its room.
 */
export async function sizeDevices(
  paths: readonly string[],
  setting: Size | null,
  tier: Tier,
  away: readonly LeftOut[] = [],
): Promise<readonly DeviceSize[]> {
  const rooms = await roomsOf(paths);
  const totalRoom = rooms.reduce((sum, room) => sum + room.roomBytes, 0);
  const dealt = setting?.kind === 'bytes' ? setting.bytes - awayBytes(setting.bytes, paths.length, away) : 0;
  const devices = rooms.map(({ path, totalBytes, roomBytes, reserveBytes, keptBytes }): DeviceSize => {
    const wanted =
      setting === null
        ? roomBytes - keptBytes
        : setting.kind === 'percent'
          ? (totalBytes * setting.percent) / 100
          : dealt * (totalRoom === 0 ? 1 / rooms.length : roomBytes / totalRoom);
    const sizeBytes = Math.max(0, Math.floor(Math.min(wanted, roomBytes)));
    return { path, tier, sizeBytes, reserveBytes: setting === null ? Math.floor(reserveBytes) : 0 };
  });
  // Each part was rounded down.
  const mostBytes = sumOf(devices) + devices.length;
  const isTooSmall = setting !== null && devices.length > 0 && mostBytes <= smallestBytes;
  if (isTooSmall) throw tooSmall(devices, totalRoom);
  return devices;
}

function sumOf(devices: readonly DeviceSize[]): number {
  return devices.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}

/** Where nobody knows what one held, an equal part of all. */
function awayBytes(bytes: number, present: number, away: readonly LeftOut[]): number {
  const part = bytes / (present + away.length);
  return away.reduce((sum, { sizeBytes }) => sum + (sizeBytes ?? part), 0);
}

function tooSmall(devices: readonly DeviceSize[], roomBytes: number): MillpoolError {
  const [path = ''] = devices.map((device) => device.path);
  const flags =
    devices[0]?.tier === 'slow' ? { size: '--slow-size', data: '--slow-data' } : { size: '--size', data: '--data' };
  const [held, room] = [formatBytes(sumOf(devices)), formatBytes(roomBytes)];
  return new MillpoolError({
    code: 'full',
    message: `${devices.map((device) => device.path).join(' and ')} would hold ${held}; there is room for ${room}.`,
    remedy: `Give it at least ${formatBytes(smallestBytes)} (${flags.size}), or another directory (${flags.data}).`,
    path,
  });
}

async function roomsOf(paths: readonly string[]): Promise<readonly Room[]> {
  const found = await Promise.all(
    paths.map(async (path) => ({
      path,
      device: (await stat(path)).dev,
      held: await heldBytes(path),
      ...(await statfs(path)),
    })),
  );
  return found.map(({ path, device, held, blocks, bavail, bsize }) => {
    const sharers = found.filter((other) => other.device === device).length;
    const totalBytes = blocks * bsize;
    const reserveBytes = Math.min(totalBytes / 10, 10 * giB);
    const roomBytes = (bavail * bsize) / sharers + held;
    return { path, totalBytes: totalBytes / sharers, roomBytes, reserveBytes, keptBytes: reserveBytes / sharers };
  });
}

/** What segments of an earlier run take up there, at any depth. */
async function heldBytes(path: string): Promise<number> {
  const names = await readdir(path, { recursive: true });
  const sizes = await Promise.all(names.map((name) => stat(join(path, name)).catch(() => null)));
  return sizes.reduce((sum, found) => sum + (found?.isFile() === true ? found.blocks * 512 : 0), 0);
}
