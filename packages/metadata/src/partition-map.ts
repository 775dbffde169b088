import { MillpoolError } from '@millpool/protocol';
import type { NamesPart } from '@millpool/protocol';

/**
 * Which partitions a directory has, and the shard of each (Patil and Gibson, "Scale and Concurrency of GIGA+", FAST
 * 2011). Partition 0 always is; partition i at depth d gives half of its names to i + 2^d. Maps are replaced, never
 * merged: a greater version is the newer truth.
 */
export interface PartitionMap {
  readonly version: number;
  /** By partition; undefined where there is none. */
  readonly shards: readonly (number | undefined)[];
}

export interface Split {
  readonly parent: number;
  readonly child: number;
  /** A name moves when the low `depth` bits of its hash are the child's index. */
  readonly depth: number;
}

/** So many at once, and from there on four times as many: of a million names, few are moved after they were written. */
const spreadFirst = 64;
const spreadTimes = 4;

/** The map of a directory that has never been split; it is never stored. */
export function wholeMap(home: number): PartitionMap {
  return { version: 0, shards: [home] };
}

export function partitionsOf(map: PartitionMap): number[] {
  const present: number[] = [];
  map.shards.forEach((shard, partition) => {
    if (shard !== undefined) present.push(partition);
  });
  return present;
}

export function shardOf(map: PartitionMap, partition: number): number {
  const shard = map.shards[partition];
  if (shard === undefined) throw new RangeError(`partition ${partition} is not in map version ${map.version}`);
  return shard;
}

/** The deepest partition that the low bits of a name's hash lead to. */
export function locate(map: PartitionMap, hash: number): number {
  if (map.shards.length === 1) return 0;
  let partition = lowBits(hash, bitsOf(map.shards.length - 1));
  while (map.shards[partition] === undefined) partition = parentOf(partition);
  return partition;
}

/** The next split of a partition, or null when all of its children are or the map has `partitionsMax` places. */
export function nextSplit(map: PartitionMap, parent: number, partitionsMax: number): Split | null {
  for (let depth = bitsOf(parent); ; depth += 1) {
    const child = parent + 2 ** depth;
    if (child >= partitionsMax) return null;
    if (map.shards[child] === undefined) return { parent, child, depth: depth + 1 };
  }
}

export function movesTo(split: Split, hash: number): boolean {
  return lowBits(hash, split.depth) === split.child;
}

export function withChild(map: PartitionMap, child: number, shard: number): PartitionMap {
  const length = Math.max(map.shards.length, child + 1);
  const shards = Array.from({ length }, (_, partition) => (partition === child ? shard : map.shards[partition]));
  return { version: map.version + 1, shards };
}

/** The map that many more names need, as far as there are shards; null when there are no more. */
export function spreadMap(map: PartitionMap, of: { home: number; shards: number }): PartitionMap | null {
  const length = Math.min(of.shards, Math.max(spreadFirst, spreadTimes * 2 ** bitsOf(map.shards.length - 1)));
  if (length <= partitionsOf(map).length) return null;
  const shards = Array.from(
    { length },
    (_, partition) => map.shards[partition] ?? placementOf(of.home, partition, of.shards),
  );
  return { version: map.version + 1, shards };
}

/** Whether a partition can have names of a part: what both say of a hash's low bits must be the same. */
export function mayHold(partition: number, { index, count }: NamesPart): boolean {
  const bits = Math.min(bitsOf(partition), bitsOf(count - 1));
  return lowBits(partition, bits) === lowBits(index, bits);
}

export function isInPart({ index, count }: NamesPart, hash: number): boolean {
  return lowBits(hash, bitsOf(count - 1)) === index;
}

/**
 * Where a new partition goes while one node holds all shards: spaced evenly around the home shard by the bit-reversed
 * index, so that any power of two of partitions is spread as widely as it can be.
 */
export function placementOf(home: number, partition: number, shards: number): number {
  const bits = bitsOf(shards - 1);
  let reversed = 0;
  for (let bit = 0; bit < bits; bit += 1) reversed |= ((partition >>> bit) & 1) << (bits - 1 - bit);
  return (home + reversed) % shards;
}

/** u32 version, u16 length of the bitmap, bitmap, then u16 shard of each partition in order; big-endian. */
export function encodePartitionMap(map: PartitionMap): Uint8Array {
  const present = partitionsOf(map);
  const bitmapBytes = Math.ceil(map.shards.length / 8);
  const bytes = Buffer.alloc(6 + bitmapBytes + 2 * present.length);
  bytes.writeUInt32BE(map.version, 0);
  bytes.writeUInt16BE(bitmapBytes, 4);
  present.forEach((partition, order) => {
    const at = 6 + (partition >>> 3);
    bytes.writeUInt8(bytes.readUInt8(at) | (1 << (partition & 7)), at);
    bytes.writeUInt16BE(shardOf(map, partition), 6 + bitmapBytes + 2 * order);
  });
  return bytes;
}

/**
 * Throws `corrupt` where the record is not a whole map over `shards` shards whose partitions all have their parents.
 */
export function decodePartitionMap(record: Uint8Array, shards: number): PartitionMap {
  const bytes = Buffer.from(record.buffer, record.byteOffset, record.byteLength);
  const bitmapBytes = bytes.length < 6 ? 0 : bytes.readUInt16BE(4);
  const map: (number | undefined)[] = [];
  let at = 6 + bitmapBytes;
  for (let partition = 0; partition < 8 * bitmapBytes && at <= bytes.length - 2; partition += 1) {
    if (((bytes[6 + (partition >>> 3)] ?? 0) & (1 << (partition & 7))) === 0) continue;
    const orphan = partition > 0 && map[parentOf(partition)] === undefined;
    if (orphan || partition >= shards || bytes.readUInt16BE(at) >= shards) throw brokenMap();
    while (map.length < partition) map.push(undefined);
    map.push(bytes.readUInt16BE(at));
    at += 2;
  }
  if (map.length === 0 || at !== bytes.length) throw brokenMap();
  return { version: bytes.readUInt32BE(0), shards: map };
}

/** Bits needed to write a number: 0 for 0. */
function bitsOf(value: number): number {
  return 32 - Math.clz32(value);
}

function parentOf(partition: number): number {
  return partition - 2 ** (bitsOf(partition) - 1);
}

function lowBits(value: number, bits: number): number {
  return bits === 0 ? 0 : value & (2 ** bits - 1);
}

function brokenMap(): MillpoolError {
  return new MillpoolError({
    code: 'corrupt',
    message: 'a partition map in the coordination store is damaged',
    remedy: 'Detach the attachment and attach it again; its listing is made anew.',
  });
}
