import { constants } from 'node:fs';
import { access, stat, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';

import { diskBelow } from '@millpool/cache';
import { directFault } from '@millpool/native';
import { formatBytes } from '@millpool/protocol';
import type { Tier } from '@millpool/protocol';

import { fail, ok, warn } from './check.ts';
import type { Check } from './check.ts';

/** Magic numbers of statfs(2) that matter here. */
const fileSystems: Readonly<Record<number, { readonly name: string; readonly remark: string }>> = {
  0xef53: { name: 'ext4', remark: '' },
  0x58465342: { name: 'xfs', remark: '' },
  0x9123683e: { name: 'btrfs', remark: '' },
  0x2fc12fc1: { name: 'zfs', remark: '' },
  0xf2f52010: { name: 'f2fs', remark: '' },
  0x01021994: { name: 'tmpfs', remark: 'it is memory: what is cached is gone with a restart' },
  0x794c7630: { name: 'overlayfs', remark: "it is a container's own layer: slow, and gone with the container" },
  0x6969: { name: 'nfs', remark: 'a network is no cache: every hit would go over it' },
  0x65735546: { name: 'fuse', remark: 'every hit would go through another program' },
  0xff534d42: { name: 'cifs', remark: 'a network is no cache: every hit would go over it' },
  0x00c36400: { name: 'ceph', remark: 'a network is no cache: every hit would go over it' },
  0x0bd00bd0: { name: 'lustre', remark: 'a network is no cache: every hit would go over it' },
};

/** Less is no cache (`sizeDevices`). */
const roomMin = 64 * 1024 ** 2;
const localDisk = 'Name a directory on a local disk with --data.';

/** Whether a data directory can be one, what it lies on, and what is slow about that. */
export async function directoryChecks(path: string, tier: Tier): Promise<readonly Check[]> {
  const name = (what: string): string => `${what} ${path}`;
  const there = await nearest(path);
  const refused = await refusal(there);
  if (refused !== null) {
    const remedy = 'Make it for the user that runs Millpool, or name another with --data.';
    return [
      fail(name('data'), `${there === path ? path : `${path} (by ${there})`} cannot be used: ${refused}.`, remedy),
    ];
  }
  return [
    await fileSystem(name('file system'), there),
    await room(name('room'), there),
    await device(name('device'), there, tier),
    direct(name('O_DIRECT'), there),
  ];
}

/** The directory itself, or the one in which it would be made. */
async function nearest(path: string): Promise<string> {
  for (let at = path; ; at = dirname(at)) {
    if ((await stat(at).catch(() => null)) !== null || at === '/') return at;
  }
}

async function refusal(path: string): Promise<string | null> {
  if (!(await stat(path)).isDirectory()) return 'it is no directory';
  return access(path, constants.R_OK | constants.W_OK | constants.X_OK).then(
    () => null,
    (error: unknown) => ((error as NodeJS.ErrnoException).code === 'EROFS' ? 'it is read-only' : 'permission denied'),
  );
}

async function fileSystem(name: string, path: string): Promise<Check> {
  const { type } = await statfs(path);
  const known = fileSystems[type];
  if (known === undefined) return ok(name, `It is of a kind that Millpool does not know (0x${type.toString(16)}).`);
  if (known.remark === '') return ok(name, `It is ${known.name}.`);
  return warn(name, `It is ${known.name}: ${known.remark}.`, localDisk);
}

async function room(name: string, path: string): Promise<Check> {
  const { blocks, bavail, bsize, files, ffree } = await statfs(path);
  const free = bavail * bsize;
  const sentence = `${formatBytes(free)} of ${formatBytes(blocks * bsize)} are free.`;
  if (free < roomMin) return fail(name, sentence, 'Make room there, or name another directory with --data.');
  if (files > 0 && ffree === 0)
    return fail(name, 'No inode is free.', 'Remove files there, or name another directory.');
  return free < 0.05 * blocks * bsize
    ? warn(name, sentence, 'Make room there: most file systems get slow when they are nearly full.')
    : ok(name, sentence);
}

/** By what sysfs says of the block device below. */
async function device(name: string, path: string, tier: Tier): Promise<Check> {
  const disk = await diskBelow(path);
  const use = tier === 'slow' ? ' It is of the slow tier.' : '';
  if (disk.name === null) return ok(name, `No block device of this machine lies below it.${use}`);
  const label = `/dev/${disk.name}`;
  if (disk.rotates === null) return ok(name, `${label} is a virtual disk; what lies below it is not told.${use}`);
  if (!disk.rotates) return ok(name, `${label} does not rotate.${use}`);
  if (tier === 'slow') return ok(name, `${label} is a disk that rotates, and of the slow tier.`);
  return warn(
    name,
    `${label} is a disk that rotates, and of the fast tier: reads in random order are slow there.`,
    'Name a directory on NVMe or SSD with --data, and this one with --slow-data: it is good as a second tier.',
  );
}

function direct(name: string, path: string): Check {
  const fault = directFault(path);
  if (fault === null) return ok(name, 'O_DIRECT reads work.');
  return warn(
    name,
    `O_DIRECT does not work there (${fault}): cold reads go through the page cache.`,
    'It is the file system that refuses; ext4 and xfs can.',
  );
}
