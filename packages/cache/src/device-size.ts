import { readdir, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';

import { formatBytes, MillpoolError } from '@millpool/protocol';
import type { Size, Tier } from '@millpool/protocol';

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
  readonly totalBytes: number;
  /** Free now, or taken by what this directory holds already. */
  readonly roomBytes: number;
}

/**
 * How much each data directory of a tier may hold. Without a setting: all that is free but min(10 %, 10 GiB) of its
 * file system. A number of bytes is dealt over the directories in the proportion of their room.
 */
export async function sizeDevices(
  paths: readonly string[],
  setting: Size | null,
  tier: Tier,
): Promise<readonly DeviceSize[]> {
  const rooms = await Promise.all(paths.map(roomOf));
  const totalRoom = rooms.reduce((sum, room) => sum + room.roomBytes, 0);
  return rooms.map((room) => {
    const reserveBytes = setting === null ? Math.min(room.totalBytes / 10, 10 * giB) : 0;
    const wanted =
      setting === null
        ? room.roomBytes - reserveBytes
        : setting.kind === 'percent'
          ? (room.totalBytes * setting.percent) / 100
          : setting.bytes * (totalRoom === 0 ? 1 / rooms.length : room.roomBytes / totalRoom);
    const sizeBytes = Math.floor(Math.min(wanted, room.roomBytes));
    if (setting !== null && sizeBytes < smallestBytes) throw tooSmall(room, sizeBytes, tier);
    return { path: room.path, tier, sizeBytes: Math.max(0, sizeBytes), reserveBytes: Math.floor(reserveBytes) };
  });
}

function tooSmall({ path, roomBytes }: Room, sizeBytes: number, tier: Tier): MillpoolError {
  const flags = tier === 'fast' ? { size: '--size', data: '--data' } : { size: '--slow-size', data: '--slow-data' };
  const [held, room] = [formatBytes(Math.max(0, sizeBytes)), formatBytes(roomBytes)];
  return new MillpoolError({
    code: 'full',
    message: `${path} would hold ${held}; it has room for ${room}.`,
    remedy: `Give it at least ${formatBytes(smallestBytes)} (${flags.size}), or another directory (${flags.data}).`,
    path,
  });
}

async function roomOf(path: string): Promise<Room> {
  const { blocks, bavail, bsize } = await statfs(path);
  return { path, totalBytes: blocks * bsize, roomBytes: bavail * bsize + (await heldBytes(path)) };
}

/** What segments of an earlier run take up there, at any depth. */
async function heldBytes(path: string): Promise<number> {
  const names = await readdir(path, { recursive: true });
  const sizes = await Promise.all(names.map((name) => stat(join(path, name)).catch(() => null)));
  return sizes.reduce((sum, found) => sum + (found?.isFile() === true ? found.blocks * 512 : 0), 0);
}
