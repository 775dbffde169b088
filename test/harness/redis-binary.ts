import { access, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { cacheDirectory } from './cache-directory.ts';
import type { Getting, Had } from './cache-directory.ts';
import { unpackDebian } from './debian-packages.ts';
import { ToolError } from './tool.ts';

const timeoutMs = 5 * 60_000;
/** The program is in `redis-tools`; the others are libraries that a machine without Redis may not have. */
const packages = ['redis-server', 'redis-tools', 'libatomic1', 'libjemalloc2', 'liblzf1'];

export interface RedisBinary {
  readonly program: string;
  /** Where its libraries are found. */
  readonly env: { readonly LD_LIBRARY_PATH: string };
}

/** Debian's redis-server: unpacked into the cache, and not installed. */
export async function ensureRedis({ say, signal }: Getting): Promise<Had<RedisBinary>> {
  const directory = await cacheDirectory('bin');
  const tree = join(directory, 'redis-debian');
  try {
    await access(tree);
    return { kind: 'ready', what: await binaryIn(tree) };
  } catch {
    // It is fetched.
  }
  const place = await mkdtemp(join(directory, 'fetch-'));
  try {
    say("Fetching Debian's redis-server, once.");
    const within = { timeoutMs, directory: place, ...(signal === undefined ? {} : { signal }) };
    await rename(await unpackDebian(packages, within), tree);
    return { kind: 'ready', what: await binaryIn(tree) };
  } catch (thrown) {
    if (!(thrown instanceof ToolError)) throw thrown;
    return { kind: 'unavailable', why: `Debian's redis-server cannot be had: ${thrown.message}` };
  } finally {
    await rm(place, { recursive: true, force: true });
  }
}

async function binaryIn(tree: string): Promise<RedisBinary> {
  const libraries = join(tree, 'usr', 'lib');
  const platform = (await readdir(libraries)).find((name) => name.endsWith('-linux-gnu')) ?? '';
  return { program: join(tree, 'usr', 'bin', 'redis-server'), env: { LD_LIBRARY_PATH: join(libraries, platform) } };
}
