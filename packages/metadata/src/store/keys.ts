/**
 * Every key of the store; numbers are big-endian, so that keys sort as their fields do. The shard comes first: what a
 * shard holds is a few ranges, which is what a move copies.
 *
 *     01 shard id                          → directory record (at the shard of partition 0, its home)
 *     02 shard id partition                → names in the partition
 *     03 shard id partition class name     → block of entries, from that name on
 *     04 shard id run class name           → one item of a run that outgrew memory (at the home)
 *     05 shard id parent child             → a split under way (at the home)
 *     06 attachment                        → something may be stored of it; it goes once it is not attached
 */
const tags = { directory: 1, partition: 2, entry: 3, run: 4, split: 5, marked: 6 } as const;

/**
 * Entries of one class and partition are in the byte order of their names. Plain files have names that are the source's
 * own bytes, so their order is also the source's; that of the two others is not (`a%2Fb` stands for `a//b`, and a
 * directory `a` is listed by S3 after `a.txt`, as `a/`), so a listing is joined with them only when it has ended.
 */
export const entryClasses = { plainFile: 0, oddFile: 1, directory: 2 } as const;
export type EntryClass = (typeof entryClasses)[keyof typeof entryClasses];

export interface KeyRange {
  readonly start: Buffer;
  /** Exclusive. */
  readonly end: Buffer;
}

export const idBytes = 16;
const directoryBytes = 3 + idBytes;
const noName = new Uint8Array();
const partitionAt = directoryBytes;
const classAt = partitionAt + 2;
/** Where the name begins in an entry's key, and in a run item's. */
export const nameAt = classAt + 1;

export interface DirectoryName {
  readonly id: Uint8Array;
  /** The id in hex. */
  readonly text: string;
  readonly home: number;
}

export interface EntryPlace {
  readonly id: Uint8Array;
  readonly shard: number;
  readonly partition: number;
  readonly kind: EntryClass;
}

export function directoryKey(directory: DirectoryName): Buffer {
  return prefixOf(tags.directory, directory.home, directory.id, directoryBytes);
}

export function partitionKey(id: Uint8Array, shard: number, partition: number): Buffer {
  const key = prefixOf(tags.partition, shard, id, directoryBytes + 2);
  key.writeUInt16BE(partition, partitionAt);
  return key;
}

/** The directory by its id in hex, and the shard that the partition lies in. */
export function partitionOfKey(key: Buffer): { readonly id: string; readonly shard: number } {
  return { id: key.toString('hex', 3, directoryBytes), shard: key.readUInt16BE(1) };
}

/** What all entries of one class in one partition have before their names. */
export function entryPrefix(place: EntryPlace): Buffer {
  return entryKey(place, noName);
}

export function entryKey(place: EntryPlace, name: Uint8Array): Buffer {
  const key = Buffer.allocUnsafe(nameAt + name.length);
  key.writeUInt8(tags.entry, 0);
  key.writeUInt16BE(place.shard, 1);
  key.set(place.id, 3);
  key.writeUInt16BE(place.partition, partitionAt);
  key.writeUInt8(place.kind, classAt);
  key.set(name, nameAt);
  return key;
}

export function classOfKey(key: Buffer): EntryClass {
  return key.readUInt8(classAt) as EntryClass;
}

export function partitionRange(id: Uint8Array, shard: number, partition: number): KeyRange {
  const start = entryPrefix({ id, shard, partition, kind: entryClasses.plainFile }).subarray(0, classAt);
  return { start, end: successorOf(start) };
}

/** The runs that a directory can have: what a listing saw in no useful order, and what it changes. */
export const runs = { unordered: 0, changes: 1 } as const;
export type Run = (typeof runs)[keyof typeof runs];

export function runPrefix(directory: DirectoryName, run: Run, kind: EntryClass): Buffer {
  const key = prefixOf(tags.run, directory.home, directory.id, nameAt);
  key.writeUInt16BE(run, partitionAt);
  key.writeUInt8(kind, classAt);
  return key;
}

export function runRange(directory: DirectoryName, run: Run): KeyRange {
  const start = runPrefix(directory, run, entryClasses.plainFile).subarray(0, classAt);
  return { start, end: successorOf(start) };
}

export function splitKey(directory: DirectoryName, parent: number, child: number): Buffer {
  const key = prefixOf(tags.split, directory.home, directory.id, directoryBytes + 4);
  key.writeUInt16BE(parent, partitionAt);
  key.writeUInt16BE(child, partitionAt + 2);
  return key;
}

export function splitOfKey(key: Buffer): { directory: DirectoryName; parent: number; child: number } {
  return {
    directory: directoryOfKey(key),
    parent: key.readUInt16BE(partitionAt),
    child: key.readUInt16BE(partitionAt + 2),
  };
}

export const allDirectories = tagRange(tags.directory);
/** Of those that have their home in a shard. */
export function directoriesIn(shard: number): KeyRange {
  const start = Buffer.alloc(3);
  start.writeUInt8(tags.directory, 0);
  start.writeUInt16BE(shard, 1);
  return { start, end: successorOf(start) };
}

export const allPartitions = tagRange(tags.partition);
export const allSplits = tagRange(tags.split);
export const allMarked = tagRange(tags.marked);

export function directoryOfKey(key: Buffer): DirectoryName {
  const id = Buffer.from(key.subarray(3, directoryBytes));
  return { home: key.readUInt16BE(1), id, text: id.toString('hex') };
}

export function markedKey(attachment: number): Buffer {
  const key = Buffer.alloc(5);
  key.writeUInt8(tags.marked, 0);
  key.writeUInt32BE(attachment, 1);
  return key;
}

export function attachmentOfKey(key: Buffer): number {
  return key.readUInt32BE(1);
}

export function named(prefix: Buffer, name: Uint8Array): Buffer {
  const key = Buffer.allocUnsafe(prefix.length + name.length);
  key.set(prefix, 0);
  key.set(name, prefix.length);
  return key;
}

/** The least key after all that begin with `prefix`, which must not be all 0xff. */
export function successorOf(prefix: Buffer): Buffer {
  let last = prefix.length - 1;
  while (prefix[last] === 0xff) last -= 1;
  const next = Buffer.from(prefix.subarray(0, last + 1));
  next.writeUInt8(next.readUInt8(last) + 1, last);
  return next;
}

function tagRange(tag: number): KeyRange {
  return { start: Buffer.from([tag]), end: Buffer.from([tag + 1]) };
}

function prefixOf(tag: number, shard: number, id: Uint8Array, length: number): Buffer {
  const key = Buffer.alloc(length);
  key.writeUInt8(tag, 0);
  key.writeUInt16BE(shard, 1);
  key.set(id, 3);
  return key;
}
