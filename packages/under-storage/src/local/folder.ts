import { Buffer } from 'node:buffer';
import type { BigIntStats, Dirent } from 'node:fs';
import { lstat, opendir, realpath, stat } from 'node:fs/promises';

import type { SourceFile } from '../source-files.ts';
import type { SkipReason } from '../under-storage.ts';
import { fileError, isAbsent } from './file-error.ts';

/**
 * Bytes of the file system as a string with one character a byte (Latin-1). It compares as the bytes do, joins with
 * `+`, and takes the least memory of all. No such string leaves `local/`.
 */
export type ByteString = string;

export function byteString(bytes: Uint8Array): ByteString {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}

export function bytesOf(text: ByteString): Buffer {
  return Buffer.from(text, 'latin1');
}

/** What a directory holds, as a listing orders it. */
export interface Children {
  /** Ascending; a directory's name ends in `/`. */
  readonly names: readonly ByteString[];
  /** Those of `names`, without the slash, that are links. */
  readonly links: ReadonlySet<ByteString>;
  readonly skipped: readonly { readonly name: ByteString; readonly why: SkipReason }[];
}

/** Real paths of the directories from the root down to one of them, that one included. */
export type Chain = readonly ByteString[];

/** A folder that no link leads out of. Links inside it are followed, unless to a directory that they lie in. */
export class Folder {
  /** Real path, without a slash at its end; empty for `/`. */
  readonly #root: ByteString;

  constructor(realPath: Uint8Array) {
    this.#root = byteString(realPath).replace(/\/$/, '');
  }

  pathOf(key: ByteString): Buffer {
    return bytesOf(`${this.#root}/${key}`);
  }

  /** Null where no listing shows such a directory: missing, no directory, outside, or in a loop of links. */
  async chainTo(prefix: ByteString): Promise<Chain | null> {
    const chain = [this.#root];
    for (let end = prefix.indexOf('/'); end >= 0; end = prefix.indexOf('/', end + 1)) {
      const real = await this.#realPathOf(prefix.slice(0, end));
      if (real === null || !this.#holds(real) || chain.includes(real)) return null;
      chain.push(real);
    }
    return chain;
  }

  /** Null when the directory is gone. */
  async children(prefix: ByteString, chain: Chain): Promise<Children | null> {
    const found: FoundChildren = { names: [], links: new Set(), skipped: [] };
    const maybeLinks: ByteString[] = [];
    const directory = await this.#open(prefix);
    if (directory === null) return null;
    try {
      for await (const child of directory) {
        if (child.isSymbolicLink()) maybeLinks.push(child.name);
        else place(found, child.name, child, { real: `${chain.at(-1)}/${child.name}`, chain });
      }
    } catch (thrown) {
      throw fileError(this.pathOf(prefix), thrown);
    }
    for (const name of maybeLinks) await this.#placeLink(found, prefix, name, chain);
    found.names.sort();
    return found;
  }

  /** The chain of a directory that `children` named. Null when it is gone. */
  async descend(prefix: ByteString, name: ByteString, chain: Chain, isLink: boolean): Promise<Chain | null> {
    if (!isLink) return [...chain, `${chain.at(-1)}/${name}`];
    const real = await this.#realPathOf(prefix + name);
    return real === null || !this.#holds(real) || chain.includes(real) ? null : [...chain, real];
  }

  /** Null when there is no file of that key, or none any more. */
  async file(key: ByteString, isLink: boolean): Promise<SourceFile | null> {
    const path = this.pathOf(key);
    try {
      if (isLink) {
        const real = await this.#realPathOf(key);
        if (real === null || !this.#holds(real)) return null;
      }
      const stats = isLink ? await stat(path, { bigint: true }) : await lstat(path, { bigint: true });
      return stats.isFile() ? sourceFile(key, stats) : null;
    } catch (thrown) {
      if (isAbsent(thrown)) return null;
      throw fileError(path, thrown);
    }
  }

  /** As `file`, of a key that no listing gave: its directories may be links, or names that no listing shows. */
  async find(key: ByteString): Promise<SourceFile | null> {
    const real = await this.#realPathOf(key);
    if (real === null || !this.#holds(real)) return null;
    if (real === `${this.#root}/${key}`) return this.file(key, false);
    const chain = await this.chainTo(key.slice(0, key.lastIndexOf('/') + 1));
    return chain === null ? null : this.file(key, true);
  }

  #holds(real: ByteString): boolean {
    return real === this.#root || real.startsWith(`${this.#root}/`);
  }

  async #realPathOf(key: ByteString): Promise<ByteString | null> {
    const path = this.pathOf(key);
    try {
      return byteString(await realpath(path, { encoding: 'buffer' }));
    } catch (thrown) {
      if (isAbsent(thrown)) return null;
      throw fileError(path, thrown);
    }
  }

  async #open(prefix: ByteString): Promise<AsyncIterable<Dirent> | null> {
    const path = this.pathOf(prefix);
    try {
      return await opendir(path, { encoding: 'latin1', bufferSize: 512 });
    } catch (thrown) {
      if (isAbsent(thrown)) return null;
      throw fileError(path, thrown);
    }
  }

  async #placeLink(found: FoundChildren, prefix: ByteString, name: ByteString, chain: Chain): Promise<void> {
    const real = await this.#realPathOf(prefix + name);
    if (real === null) found.skipped.push({ name, why: 'dangling' });
    else if (!this.#holds(real)) found.skipped.push({ name, why: 'outside' });
    else if (place(found, name, await typeOf(bytesOf(real)), { real, chain })) found.links.add(name);
  }
}

interface FoundChildren {
  readonly names: ByteString[];
  readonly links: Set<ByteString>;
  readonly skipped: { readonly name: ByteString; readonly why: SkipReason }[];
}

type FileType = Pick<Dirent, 'isFile' | 'isDirectory'>;

/** True when it is listed. A type of null: gone meanwhile. */
function place(
  found: FoundChildren,
  name: ByteString,
  type: FileType | null,
  where: { readonly real: ByteString; readonly chain: Chain },
): boolean {
  const why = type === null ? 'dangling' : skipReason(type, where);
  if (why === null) found.names.push(type?.isDirectory() === true ? `${name}/` : name);
  else found.skipped.push({ name, why });
  return why === null;
}

function skipReason(type: FileType, where: { readonly real: ByteString; readonly chain: Chain }): SkipReason | null {
  if (type.isFile()) return null;
  if (!type.isDirectory()) return 'special';
  return where.chain.includes(where.real) ? 'loop' : null;
}

async function typeOf(path: Buffer): Promise<FileType | null> {
  try {
    return await stat(path);
  } catch (thrown) {
    if (isAbsent(thrown)) return null;
    throw fileError(path, thrown);
  }
}

function sourceFile(key: ByteString, stats: BigIntStats): SourceFile {
  return {
    key: bytesOf(key),
    size: Number(stats.size),
    mtimeMs: Number(stats.mtimeNs / 1_000_000n),
    tag: `f:${stats.dev}:${stats.ino}:${stats.mtimeNs}:${stats.ctimeNs}`,
  };
}
