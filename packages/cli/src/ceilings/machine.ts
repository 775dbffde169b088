import { stat, statfs } from 'node:fs/promises';
import { availableParallelism } from 'node:os';

import { copyRate, deviceRates } from '@millpool/native';
import { asMillpoolError, formatBytes } from '@millpool/protocol';

import { notMeasured } from './ceiling.ts';
import type { Ceiling } from './ceiling.ts';

/** Each copies between two buffers of its own; more do not make memory faster. */
const threadsMax = 16;
/** Enough for a device's own cache to matter little, and written in a moment. */
const fileBytesMax = 256 * 1024 ** 2;
const fileBytesMin = 16 * 1024 ** 2;
/** Of what is free on a device: a measurement fills none. */
const freeShare = 4;
const blockBytes = 128 * 1024;

export async function memoryCeilings(seconds: number): Promise<readonly Ceiling[]> {
  const counts = new Set([1, Math.min(threadsMax, availableParallelism())]);
  const ceilings: Ceiling[] = [];
  for (const threads of counts) {
    const { bytes, seconds: took } = await copyRate(threads, seconds);
    const what = `copy, ${threads} ${threads === 1 ? 'thread' : 'threads'}`;
    ceilings.push({ stage: 'memory', what, bytesPerSecond: bytes / took, perSecond: null, note: '' });
  }
  return ceilings;
}

/** Of the device that a directory is on: a file without a name is written there and read, and is gone. */
export async function deviceCeilings(directory: string, seconds: number): Promise<readonly Ceiling[]> {
  const [write, read] = [`write, ${directory}`, `random reads of ${formatBytes(blockBytes)}, ${directory}`];
  const neither = (note: string): Ceiling[] => [notMeasured('device', write, note), notMeasured('device', read, note)];
  if (
    await stat(directory).then(
      (found) => !found.isDirectory(),
      () => true,
    )
  )
    return neither('there is no such directory');
  const { bavail, bsize } = await statfs(directory);
  const room = Math.floor((bavail * bsize) / freeShare / fileBytesMin) * fileBytesMin;
  if (room < fileBytesMin) return neither(`it has ${formatBytes(bavail * bsize)} free`);
  try {
    const rates = await deviceRates(directory, { fileBytes: Math.min(fileBytesMax, room), blockBytes, seconds });
    const note = `past the page cache, by ${rates.engine}`;
    const { bytes, requests, seconds: took } = rates.read;
    const written = rates.write.bytes / rates.write.seconds;
    return [
      { stage: 'device', what: write, bytesPerSecond: written, perSecond: null, note: 'past the page cache, synced' },
      { stage: 'device', what: read, bytesPerSecond: bytes / took, perSecond: requests / took, note },
    ];
  } catch (error) {
    return neither(asMillpoolError(error).message);
  }
}
