import { MillpoolError } from '@millpool/protocol';

/** One version of one object, as the data path asks a source for it. */
export interface ObjectEntry {
  /** The attachment's number. */
  readonly attachment: number;
  /** Key in the bucket, or path below the folder's root: bytes. */
  readonly sourceKey: Uint8Array;
  /** Bytes of the whole object. */
  readonly size: number;
  /** The source's name of this version (see `Entry.tag`), at most 1,024 bytes. */
  readonly tag: string;
}

const countBytes = 4;
const objectFixedBytes = 16;
const maxTagBytes = 1024;
const maxKeyBytes = 0xffff;

/**
 * Packs objects for a native call: u32 count, then for each u32 attachment, u64 size, u16 tag length, tag, u16 source
 * key length, source key; little endian. Throws `invalid` for a tag over 1,024 bytes, a key over 65,535 or a size that
 * is no safe integer.
 */
export function packObjects(objects: readonly ObjectEntry[]): Uint8Array {
  const tags = objects.map((object) => Buffer.from(object.tag));
  let length = countBytes;
  objects.forEach((object, i) => {
    checkObject(object, tags[i]!);
    length += objectFixedBytes + tags[i]!.length + object.sourceKey.length;
  });
  const list = Buffer.allocUnsafe(length);
  let at = list.writeUInt32LE(objects.length, 0);
  objects.forEach((object, i) => {
    const tag = tags[i]!;
    at = list.writeUInt32LE(object.attachment, at);
    at = list.writeBigUInt64LE(BigInt(object.size), at);
    at = list.writeUInt16LE(tag.length, at);
    at += tag.copy(list, at);
    at = list.writeUInt16LE(object.sourceKey.length, at);
    list.set(object.sourceKey, at);
    at += object.sourceKey.length;
  });
  return list;
}

/**
 * A packed list with more objects in it: `ends` says where the list ends behind each of its places, of which those of
 * `more`, in their order, are empty so far.
 */
export function spliceObjects(list: Uint8Array, ends: Uint32Array, more: ReadonlyMap<number, ObjectEntry>): Uint8Array {
  const added = packObjects([...more.values()]);
  const parts: Uint8Array[] = [list.subarray(0, countBytes)];
  let [from, next] = [countBytes, countBytes];
  for (const [place, object] of more) {
    const end = ends[place] ?? list.length;
    parts.push(list.subarray(from, end), added.subarray(next, (next += objectBytes(object))));
    from = end;
  }
  const spliced = Buffer.concat([...parts, list.subarray(from)]);
  spliced.writeUInt32LE(countObjects(list) + more.size, 0);
  return spliced;
}

/** How many objects a packed list says that it holds. */
export function countObjects(list: Uint8Array): number {
  if (list.length < countBytes) throw invalid('an object list is at least 4 bytes long');
  return new DataView(list.buffer, list.byteOffset, list.byteLength).getUint32(0, true);
}

/** The objects of a packed list; throws `invalid` where the list is cut short or longer than it says. */
export function unpackObjects(list: Uint8Array): ObjectEntry[] {
  const bytes = Buffer.from(list.buffer, list.byteOffset, list.byteLength);
  const objects: ObjectEntry[] = [];
  let at = countBytes;
  const take = (length: number): number => {
    if (at + length > bytes.length) throw invalid('an object list is cut short');
    at += length;
    return at - length;
  };
  for (let left = countObjects(list); left > 0; left -= 1) {
    const attachment = bytes.readUInt32LE(take(4));
    const size = Number(bytes.readBigUInt64LE(take(8)));
    const tagLength = bytes.readUInt16LE(take(2));
    const tagAt = take(tagLength);
    const tag = bytes.toString('utf8', tagAt, tagAt + tagLength);
    const keyLength = bytes.readUInt16LE(take(2));
    const keyAt = take(keyLength);
    objects.push({ attachment, size, tag, sourceKey: Uint8Array.from(bytes.subarray(keyAt, keyAt + keyLength)) });
  }
  if (at !== bytes.length) throw invalid('an object list goes on after its last object');
  return objects;
}

/** Packs texts for a native call: u32 count, then for each u32 length and its UTF-8. */
export function packTexts(texts: readonly string[]): Uint8Array {
  const parts = texts.map((text) => Buffer.from(text));
  const list = Buffer.allocUnsafe(parts.reduce((sum, part) => sum + 4 + part.length, 4));
  let at = list.writeUInt32LE(parts.length, 0);
  for (const part of parts) {
    at = list.writeUInt32LE(part.length, at);
    at += part.copy(list, at);
  }
  return list;
}

function objectBytes({ tag, sourceKey }: ObjectEntry): number {
  return objectFixedBytes + Buffer.byteLength(tag) + sourceKey.length;
}

function checkObject(object: ObjectEntry, tag: Buffer): void {
  const name = () => JSON.stringify(Buffer.from(object.sourceKey).toString());
  if (tag.length > maxTagBytes) throw invalid(`the tag of ${name()} is longer than ${maxTagBytes} bytes`);
  if (object.sourceKey.length > maxKeyBytes) throw invalid(`the key ${name()} is longer than ${maxKeyBytes} bytes`);
  if (!Number.isSafeInteger(object.size) || object.size < 0) throw invalid(`the size of ${name()} is ${object.size}`);
}

function invalid(message: string): MillpoolError {
  return new MillpoolError({ code: 'invalid', message, remedy: 'Correct the argument that the message names.' });
}
