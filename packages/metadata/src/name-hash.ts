/**
 * MurmurHash3 (x86, 32 bits, seed 0; Austin Appleby, public domain) of a name's UTF-8 bytes. Its low bits choose the
 * partition of a directory, so it can never change for names that are stored.
 */
export function hashName(bytes: Uint8Array): number {
  const blocksEnd = bytes.length & ~3;
  let hash = 0;
  for (let at = 0; at < blocksEnd; at += 4) {
    hash ^= scramble(
      byteAt(bytes, at) | (byteAt(bytes, at + 1) << 8) | (byteAt(bytes, at + 2) << 16) | (byteAt(bytes, at + 3) << 24),
    );
    hash = (hash << 13) | (hash >>> 19);
    hash = (Math.imul(hash, 5) + 0xe6546b64) | 0;
  }
  let tail = 0;
  for (let at = bytes.length - 1; at >= blocksEnd; at -= 1) tail = (tail << 8) | byteAt(bytes, at);
  if (blocksEnd < bytes.length) hash ^= scramble(tail);
  return finish(hash ^ bytes.length);
}

function byteAt(bytes: Uint8Array, at: number): number {
  return bytes[at] as number;
}

function scramble(block: number): number {
  const mixed = Math.imul(block, 0xcc9e2d51);
  return Math.imul((mixed << 15) | (mixed >>> 17), 0x1b873593);
}

function finish(hash: number): number {
  let mixed = hash ^ (hash >>> 16);
  mixed = Math.imul(mixed, 0x85ebca6b);
  mixed ^= mixed >>> 13;
  mixed = Math.imul(mixed, 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
