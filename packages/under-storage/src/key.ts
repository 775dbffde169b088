import type { Buffer } from 'node:buffer';

import { MillpoolError } from '@millpool/protocol';

const slash = 0x2f;

export function startsWith(key: Uint8Array, prefix: Uint8Array): boolean {
  if (key.length < prefix.length) return false;
  for (let at = 0; at < prefix.length; at += 1) if (key[at] !== prefix[at]) return false;
  return true;
}

/** Keys and prefixes for people: quoted, bytes that are not UTF-8 as U+FFFD, cut at 200 characters. */
export function shown(key: Uint8Array | Buffer): string {
  const text = new TextDecoder().decode(key);
  return JSON.stringify(text.length > 200 ? `${text.slice(0, 200)}…` : text);
}

/** A list request that could never be answered is our caller's fault. */
export function checkListRequest(request: { prefix: Uint8Array; limit: number }, root: Uint8Array): void {
  const { prefix, limit } = request;
  const closed = prefix.length === 0 || prefix[prefix.length - 1] === slash;
  if (!closed || !startsWith(prefix, root)) {
    throw fault(`the prefix ${shown(prefix)} does not end in "/" or is not below ${shown(root)}`);
  }
  if (!Number.isSafeInteger(limit) || limit < 1) throw fault(`a list of ${limit} entries was asked for`);
}

function fault(message: string): MillpoolError {
  return new MillpoolError({ code: 'invalid', message, remedy: 'This is a fault of Millpool; please report it.' });
}
