import { MillpoolError } from '@millpool/protocol';

/** What the store keeps of a file or directory beside its name. */
export interface EntryRecord {
  readonly type: 'file' | 'directory';
  readonly size: number;
  readonly mtimeMs: number | null;
  readonly tag: string;
}

export interface DirectoryRecord {
  /**
   * listing   its first listing is under way or was cut off: its entries are no answer to anything
   * complete  its entries are what the source had at `listedAtMs`
   * applying  a listing has ended and its changes lie in a run: they are to be applied before anything is read
   */
  readonly state: 'listing' | 'complete' | 'applying';
  /** Grows by one with each listing that finds anything changed. */
  readonly generation: number;
  /** Wall clock at the start of the LIST. */
  readonly listedAtMs: number;
  /** The same, of the last listing of all that is below; 0 for none. */
  readonly subtreeListedAtMs: number;
  /** Whether any entry is of this class; false spares readers a range. */
  readonly hasOddFiles: boolean;
  readonly hasDirectories: boolean;
  readonly attachment: number;
  /** The source keys of all that is in it begin so. */
  readonly prefix: Uint8Array;
}

const types = ['file', 'directory'] as const;
const states = ['listing', 'complete', 'applying'] as const;
const flags = { oddFiles: 1, directories: 2 } as const;
const entryFixedBytes = 17;
const hexTagFlag = 2;
const hexTagBytes = 16;
const hexTag = /^"[0-9a-f]{32}"$/;
const hexTagLength = 2 + 2 * hexTagBytes;
const directoryFixedBytes = 26;

/**
 * u8 type, and 2 more where the tag is 16 bytes that stand for `"…"` of their hexadecimal digits; f64 size, f64 mtime
 * in ms (NaN: unknown), tag in ASCII. Most records are written natively (`EntryDealer`).
 */
export function encodeEntry(entry: EntryRecord): Buffer {
  const isHex = isHexTag(entry.tag);
  const tag = isHex ? Buffer.from(entry.tag.slice(1, -1), 'hex') : Buffer.from(entry.tag, 'latin1');
  const bytes = Buffer.allocUnsafe(entryFixedBytes + tag.length);
  bytes[0] = types.indexOf(entry.type) | (isHex ? hexTagFlag : 0);
  bytes.writeDoubleBE(entry.size, 1);
  bytes.writeDoubleBE(entry.mtimeMs ?? Number.NaN, 9);
  bytes.set(tag, entryFixedBytes);
  return bytes;
}

export function decodeEntry(bytes: Buffer): EntryRecord {
  return decodeEntryWithin(bytes, 0, bytes.length);
}

/** Of what lies from `start` up to `end`. */
export function decodeEntryWithin(bytes: Buffer, start: number, end: number): EntryRecord {
  const tagAt = start + entryFixedBytes;
  if (tagAt > end) throw brokenRecord('entry');
  const head = bytes.readUInt8(start);
  const isHex = (head & hexTagFlag) !== 0;
  const type = types[head & ~hexTagFlag];
  if (type === undefined || (isHex && end - tagAt !== hexTagBytes)) throw brokenRecord('entry');
  const mtimeMs = bytes.readDoubleBE(start + 9);
  return {
    type,
    size: bytes.readDoubleBE(start + 1),
    mtimeMs: Number.isNaN(mtimeMs) ? null : mtimeMs,
    tag: isHex ? `"${bytes.toString('hex', tagAt, end)}"` : bytes.toString('latin1', tagAt, end),
  };
}

/** Most ETags: the MD5 of the content. */
function isHexTag(tag: string): boolean {
  return tag.length === hexTagLength && hexTag.test(tag);
}

/** u8 state, u8 flags, u32 generation, f64 listed at, f64 subtree listed at, u32 attachment, prefix. */
export function encodeDirectory(record: DirectoryRecord): Buffer {
  const bytes = Buffer.alloc(directoryFixedBytes + record.prefix.length);
  bytes[0] = states.indexOf(record.state);
  bytes[1] = (record.hasOddFiles ? flags.oddFiles : 0) | (record.hasDirectories ? flags.directories : 0);
  bytes.writeUInt32BE(record.generation, 2);
  bytes.writeDoubleBE(record.listedAtMs, 6);
  bytes.writeDoubleBE(record.subtreeListedAtMs, 14);
  bytes.writeUInt32BE(record.attachment, 22);
  bytes.set(record.prefix, directoryFixedBytes);
  return bytes;
}

export function decodeDirectory(bytes: Buffer): DirectoryRecord {
  const state = states[bytes[0] ?? states.length];
  if (state === undefined || bytes.length < directoryFixedBytes) throw brokenRecord('directory');
  const set = bytes.readUInt8(1);
  return {
    state,
    hasOddFiles: (set & flags.oddFiles) !== 0,
    hasDirectories: (set & flags.directories) !== 0,
    generation: bytes.readUInt32BE(2),
    listedAtMs: bytes.readDoubleBE(6),
    subtreeListedAtMs: bytes.readDoubleBE(14),
    attachment: bytes.readUInt32BE(22),
    prefix: Buffer.from(bytes.subarray(directoryFixedBytes)),
  };
}

export function encodeCount(count: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(count, 0);
  return bytes;
}

export function decodeCount(bytes: Buffer): number {
  if (bytes.length !== 4) throw brokenRecord('partition');
  return bytes.readUInt32BE(0);
}

export function brokenRecord(kind: string): MillpoolError {
  return new MillpoolError({
    code: 'corrupt',
    message: `a ${kind} record in the metadata store is damaged`,
    remedy: 'Stop the node and delete its metadata directory; the sources are listed again.',
  });
}
