import { readdir, readFile, readlink, stat } from 'node:fs/promises';
import { join } from 'node:path';

const statBlockBytes = 512;

/**
 * Anonymous and shared memory of a process, in bytes: what it has of its own, and what its memory files hold, mapped or
 * not. Pages of files on devices are the kernel's.
 */
export async function memoryBytesOf(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const anonymous = Number(/^RssAnon:\s+(\d+) kB$/m.exec(status)?.[1] ?? Number.NaN) * 1024;
  return anonymous + (await memoryFileBytes(`/proc/${pid}/fd`));
}

/** The same of a process and all that it started. */
export async function memoryBytesOfTree(pid: number): Promise<number> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
  const below = children.split(' ').filter((child) => child.trim() !== '');
  const each = await Promise.all([memoryBytesOf(pid), ...below.map((child) => memoryBytesOfTree(Number(child)))]);
  return each.reduce((sum, bytes) => sum + bytes, 0);
}

async function memoryFileBytes(directory: string): Promise<number> {
  const sizes = new Map<bigint, number>();
  for (const number of await readdir(directory)) {
    const path = join(directory, number);
    // One that was closed meanwhile holds nothing.
    const name = await readlink(path).catch(() => '');
    if (!name.startsWith('/memfd:')) continue;
    const found = await stat(path, { bigint: true }).catch(() => null);
    if (found !== null) sizes.set(found.ino, Number(found.blocks) * statBlockBytes);
  }
  return [...sizes.values()].reduce((sum, bytes) => sum + bytes, 0);
}
