import { access, mkdtemp, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { cacheDirectory } from './cache-directory.ts';
import type { Getting, Had } from './cache-directory.ts';
import { unpackDebian } from './debian-packages.ts';
import { ToolError } from './tool.ts';

const timeoutMs = 5 * 60_000;

/** The program of the etcd that Debian has, of 2022: unpacked into the cache, and not installed. */
export async function ensureOldEtcd({ say, signal }: Getting): Promise<Had<string>> {
  const directory = await cacheDirectory('bin');
  const binary = join(directory, 'etcd-debian');
  try {
    await access(binary);
    return { kind: 'ready', what: binary };
  } catch {
    // It is fetched.
  }
  const place = await mkdtemp(join(directory, 'fetch-'));
  const within = { timeoutMs, directory: place, ...(signal === undefined ? {} : { signal }) };
  try {
    say("Fetching Debian's etcd, once.");
    const tree = await unpackDebian(['etcd-server'], within);
    await rename(join(tree, 'usr', 'bin', 'etcd'), binary);
    return { kind: 'ready', what: binary };
  } catch (thrown) {
    if (!(thrown instanceof ToolError)) throw thrown;
    return { kind: 'unavailable', why: `Debian's etcd cannot be had: ${thrown.message}` };
  } finally {
    await rm(place, { recursive: true, force: true });
  }
}
