import { readdir, readFile, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

/** What a directory lies on, as far as the kernel tells. */
export interface Disk {
  /** As in /dev; null: no block device of this machine. */
  readonly name: string | null;
  /** Null: it is not told. */
  readonly rotates: boolean | null;
}

/** They say that they rotate, whatever lies below them. */
const virtual = /^(vd|xvd|nbd)/u;
/** Of devices made of devices: more is a fault. */
const layersMax = 16;
const untold: Disk = { name: null, rotates: null };

/**
 * The disk below a directory, or below where it would be made: by sysfs, through partitions and what is made of several
 * devices (LVM, md). One of those rotates if any part of it does.
 */
export async function diskBelow(directory: string): Promise<Disk> {
  const path = await nearest(directory);
  const { dev } = await stat(path);
  const number = majorOf(dev) === 0 ? await mountedNumber(path) : dev;
  return number === null ? untold : diskNumbered(`${majorOf(number)}:${minorOf(number)}`, '/sys');
}

/** The disk of a device number as sysfs writes it, in a tree of sysfs. */
export async function diskNumbered(number: string, sys: string): Promise<Disk> {
  const device = await realpath(join(sys, 'dev', 'block', number)).catch(() => null);
  return device === null ? untold : { name: basename(device), rotates: await rotates(device, 0) };
}

async function nearest(directory: string): Promise<string> {
  const found = await realpath(directory).catch(() => null);
  return found ?? nearest(dirname(directory));
}

async function rotates(device: string, layer: number): Promise<boolean | null> {
  if (layer > layersMax) return null;
  if ((await textOf(join(device, 'partition'))) !== null) return rotates(dirname(device), layer + 1);
  const parts = await readdir(join(device, 'slaves')).catch(() => []);
  if (parts.length > 0) {
    const devices = parts.map((part) => realpath(join(device, 'slaves', part)).catch(() => part));
    const of = await Promise.all((await Promise.all(devices)).map((part) => rotates(part, layer + 1)));
    return of.includes(true) ? true : of.includes(null) ? null : false;
  }
  if (virtual.test(basename(device))) return null;
  const said = await textOf(join(device, 'queue', 'rotational'));
  return said === null ? null : said === '1';
}

/** Filesystems of several devices have numbers of their own; the mount says which device it was made from. */
async function mountedNumber(path: string): Promise<number | null> {
  const mounts = ((await textOf('/proc/self/mountinfo')) ?? '').split('\n').flatMap((line) => {
    const [before = '', after = ''] = line.split(' - ');
    const [point, source] = [before.split(' ')[4], after.split(' ')[1]];
    return point === undefined || source === undefined ? [] : [{ point: unescaped(point), source: unescaped(source) }];
  });
  const holding = mounts.filter(({ point }) => point === '/' || path === point || path.startsWith(`${point}/`));
  // Of two at one place the later hides the other.
  const none = { point: '', source: '' };
  const { source } = holding.reduce((best, mount) => (mount.point.length >= best.point.length ? mount : best), none);
  if (!source.startsWith('/dev/')) return null;
  return stat(source).then(
    (found) => (found.isBlockDevice() ? found.rdev : null),
    () => null,
  );
}

/** As the kernel writes blanks and backslashes of paths. */
function unescaped(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/gu, (_, digits: string) => String.fromCodePoint(Number.parseInt(digits, 8)));
}

async function textOf(file: string): Promise<string | null> {
  return readFile(file, 'utf8').then(
    (text) => text.trim(),
    () => null,
  );
}

/** As the C library takes device numbers apart. */
function majorOf(number: number): number {
  return Math.floor(number / 2 ** 8) % 2 ** 12;
}

function minorOf(number: number): number {
  return (number % 2 ** 8) + 2 ** 8 * (Math.floor(number / 2 ** 20) % 2 ** 12);
}
