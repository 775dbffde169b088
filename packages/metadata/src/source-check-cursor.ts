import { MillpoolError } from '@millpool/protocol';

/** How far each side was compared: source keys, themselves included; null: nothing of it yet. */
export interface SourceCheckPlace {
  readonly stored: Uint8Array | null;
  readonly listed: Uint8Array | null;
}

export interface SourceCheckCursor extends SourceCheckPlace {
  readonly attachment: number;
}

const attachmentAt = 0;
const storedAt = 4;
const sharedAt = 6;
const fixedBytes = 8;
const noKey = new Uint8Array();

/**
 * base64url of u32 attachment, u16 length of the stored key, u16 how many of its bytes the listed key begins with, the
 * stored key, the rest of the listed key. A key is never empty, so an empty one stands for null.
 */
export function encodeSourceCheckCursor({ attachment, stored, listed }: SourceCheckCursor): string {
  const [one, other] = [stored ?? noKey, listed ?? noKey];
  let shared = 0;
  while (shared < one.length && shared < other.length && one[shared] === other[shared]) shared += 1;
  const head = Buffer.alloc(fixedBytes);
  head.writeUInt32BE(attachment, attachmentAt);
  head.writeUInt16BE(one.length, storedAt);
  head.writeUInt16BE(shared, sharedAt);
  return Buffer.concat([head, one, other.subarray(shared)]).toString('base64url');
}

/** `invalid` unless it could have been given for this path. */
export function decodeSourceCheckCursor(text: string, path: string): SourceCheckCursor {
  const bytes = Buffer.from(text, 'base64url');
  if (bytes.length < fixedBytes) throw badCursor(path);
  const storedEnd = fixedBytes + bytes.readUInt16BE(storedAt);
  const shared = bytes.readUInt16BE(sharedAt);
  if (bytes.length < storedEnd || fixedBytes + shared > storedEnd) throw badCursor(path);
  const stored = bytes.subarray(fixedBytes, storedEnd);
  const listed = Buffer.concat([stored.subarray(0, shared), bytes.subarray(storedEnd)]);
  return { attachment: bytes.readUInt32BE(attachmentAt), stored: keyOrNull(stored), listed: keyOrNull(listed) };
}

export function badCursor(path: string): MillpoolError {
  return new MillpoolError({
    code: 'invalid',
    message: `this is not a cursor of such a check of ${path}`,
    remedy: 'Give back the cursor of the reply before, with the same path; begin with null.',
    path,
  });
}

function keyOrNull(key: Uint8Array): Uint8Array | null {
  return key.length === 0 ? null : key;
}
