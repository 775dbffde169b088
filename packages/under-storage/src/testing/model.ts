import { Buffer } from 'node:buffer';

import type { Capabilities } from '../under-storage.ts';

const slash = 0x2f;

export interface ModelListing {
  readonly files: readonly string[];
  readonly directories: readonly string[];
}

/** Keys as Latin-1 text, so that they can be compared, printed and kept in sets; the order is that of the bytes. */
export function textOf(key: Uint8Array): string {
  return Buffer.from(key).toString('latin1');
}

export function keyOf(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}

/** Which of these keys, all together, something with these capabilities can hold. */
export function holdable(keys: readonly Buffer[], can: Capabilities): Buffer[] {
  const plain = keys.filter(
    (key) =>
      (can.anyBytes || isUtf8(key)) &&
      (can.oddKeys || !isOdd(textOf(key))) &&
      (can.controlCharacters || !/\p{Cc}|\uffff/u.test(key.toString())),
  );
  if (can.fileBesideDirectory) return plain;
  const texts = plain.map(textOf);
  return plain.filter((key) => !texts.some((other) => other.startsWith(`${textOf(key)}/`)));
}

/** What the contract says a listing of `prefix` holds after `after`, of a source that holds `keys`. */
export function modelListing(keys: readonly Buffer[], prefix: string, recursive: boolean): ModelListing {
  const below = keys
    .map(textOf)
    .filter((key) => key.startsWith(prefix))
    .sort();
  if (recursive) return { files: below, directories: [] };
  const directories = new Set<string>();
  const files: string[] = [];
  for (const key of below) {
    const end = nameEnd(keyOf(key), prefix.length);
    if (end === key.length) files.push(key);
    else directories.add(key.slice(0, end + 1));
  }
  return { files, directories: [...directories].sort() };
}

/** Leading slashes belong to a name. */
function nameEnd(key: Buffer, start: number): number {
  let end = start;
  while (key[end] === slash) end += 1;
  while (end < key.length && key[end] !== slash) end += 1;
  return end;
}

function isUtf8(key: Buffer): boolean {
  return Buffer.from(key.toString('utf8')).equals(key);
}

function isOdd(key: string): boolean {
  return key.split('/').some((name) => name === '' || name === '.' || name === '..');
}
