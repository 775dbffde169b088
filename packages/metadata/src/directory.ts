import { hash } from 'node:crypto';

import { bytesOfName, joinPath, keyOfPath, pathBelow } from '@millpool/protocol';
import type { NamesPart } from '@millpool/protocol';

import { idBytes } from './store/keys.ts';
import type { DirectoryName } from './store/keys.ts';

/** A directory of an attachment: which it is follows from its prefix alone, so no look-up leads to it. */
export interface Directory extends DirectoryName {
  readonly attachment: number;
  /** In the namespace. */
  readonly path: string;
  /** The source keys of all that is in it begin so: empty, or ends in `/`. */
  readonly prefix: Uint8Array;
  /** Of its names, this holds those alone; null: all. */
  readonly part: NamesPart | null;
}

const slash = 0x2f;

export interface DirectoryPlace {
  readonly attachment: number;
  readonly path: string;
  readonly prefix: Uint8Array;
}

/**
 * Its id: the first 128 bits of SHA-256(attachment as u32 big-endian, prefix). Its home: the id's first 32 bits modulo
 * `shards`.
 */
export function directoryOf(place: DirectoryPlace, shards: number): Directory {
  const named = Buffer.allocUnsafe(4 + place.prefix.length);
  named.writeUInt32BE(place.attachment);
  named.set(place.prefix, 4);
  const id = hash('sha256', named, 'buffer').subarray(0, idBytes);
  const text = id.toString('hex');
  return { ...place, id, text, home: homeOfId(text, shards), part: null };
}

/** Of a directory by its id in hex: the shard that it has its home in. */
export function homeOfId(text: string, shards: number): number {
  return Number.parseInt(text.slice(0, 8), 16) % shards;
}

/**
 * Some of its names, kept as a directory of their own. Its id: the first 128 bits of SHA-256(the directory's id, u16
 * index, u16 count).
 */
export function partOfDirectory(directory: Directory, part: NamesPart): Directory {
  const named = Buffer.allocUnsafe(idBytes + 4);
  named.set(directory.id);
  named.writeUInt16BE(part.index, idBytes);
  named.writeUInt16BE(part.count, idBytes + 2);
  const id = hash('sha256', named, 'buffer').subarray(0, idBytes);
  return { ...directory, id, text: id.toString('hex'), part };
}

export function childOf(directory: Directory, name: string, shards: number): Directory {
  const key = sourceKeyOf(directory, name);
  const prefix = new Uint8Array(key.length + 1);
  prefix.set(key);
  prefix[key.length] = slash;
  return directoryOf({ attachment: directory.attachment, path: joinPath(directory.path, name), prefix }, shards);
}

/** The source key of a file in it. */
export function sourceKeyOf(directory: Pick<Directory, 'prefix'>, name: string): Uint8Array {
  const bytes = isPlain(name) ? Buffer.from(name) : bytesOfName(name);
  const key = new Uint8Array(directory.prefix.length + bytes.length);
  key.set(directory.prefix);
  key.set(bytes, directory.prefix.length);
  return key;
}

/**
 * The directory at `path`, which is the attachment itself or below it; `root` is what all keys of the source begin
 * with.
 */
export function directoryAt(
  at: { readonly attachment: number; readonly attachedAt: string; readonly root: Uint8Array },
  path: string,
  shards: number,
): Directory {
  const { attachment, attachedAt, root } = at;
  if (path === attachedAt) return directoryOf({ attachment, path, prefix: root }, shards);
  const prefix = Buffer.concat([root, keyOfPath(pathBelow(path, attachedAt)), Uint8Array.of(slash)]);
  return directoryOf({ attachment, path, prefix }, shards);
}

/** Whether a name is the source's own bytes, so that names and source keys have one order. */
export function isPlain(name: string): boolean {
  return !name.includes('%') || Buffer.from(name).equals(bytesOfName(name));
}

/** Whether these bytes are certainly their own name, as almost all are: printable ASCII without `%`, `/`, `.` alone. */
export function isPlainBytes(bytes: Uint8Array): boolean {
  for (let at = 0; at < bytes.length; at += 1) {
    const byte = bytes[at] as number;
    if (byte < 0x20 || byte > 0x7e || byte === 0x25 || byte === slash) return false;
  }
  return bytes.length > 2 || (bytes.length > 0 && bytes[0] !== 0x2e);
}

/**
 * Where the next name of `key` below `prefix` ends, if it is a directory's: the offset after its slash; -1 when what is
 * left is the file's name. Slashes that begin a name belong to it (protocol's `pathOfKey`).
 */
export function directoryEnd(key: Uint8Array, prefixLength: number): number {
  let at = prefixLength;
  while (key[at] === slash) at += 1;
  const end = key.indexOf(slash, at);
  return end === -1 ? -1 : end + 1;
}
