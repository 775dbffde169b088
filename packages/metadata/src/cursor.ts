import { MillpoolError } from '@millpool/protocol';

import { idBytes } from './store/keys.ts';

/**
 * Where a listing goes on. It names no partition, so it survives their splits; the generation tells whether a
 * listing has found the directory changed meanwhile, which changes nothing but what the reply says.
 */
export interface Cursor {
  readonly directory: Uint8Array;
  readonly recursive: boolean;
  readonly generation: number;
  /** The last entry given: a file after a directory of the same name. */
  readonly type: 'file' | 'directory';
  /** Its name, or its path below the directory. */
  readonly last: string;
}

const fixedBytes = 1 + idBytes + 4;
const bits = { recursive: 1, directory: 2 } as const;

/** base64url of u8 bits, directory id, u32 generation, name. */
export function encodeCursor({ directory, recursive, generation, type, last }: Cursor): string {
  const head = Buffer.alloc(fixedBytes);
  head[0] = (recursive ? bits.recursive : 0) | (type === 'directory' ? bits.directory : 0);
  head.set(directory, 1);
  head.writeUInt32BE(generation, 1 + idBytes);
  return Buffer.concat([head, Buffer.from(last)]).toString('base64url');
}

/** `invalid` unless it is a cursor of such a listing of this directory. */
export function decodeCursor(text: string, of: { directory: Uint8Array; recursive: boolean; path: string }): Cursor {
  const bytes = Buffer.from(text, 'base64url');
  const [set = 0] = bytes;
  const directory = bytes.subarray(1, 1 + idBytes);
  const recursive = (set & bits.recursive) !== 0;
  if (bytes.length <= fixedBytes || recursive !== of.recursive || !directory.equals(of.directory)) {
    throw new MillpoolError({
      code: 'invalid',
      message: `this is not a cursor of such a listing of ${of.path}`,
      remedy: 'Give back the cursor of the reply before, with the same path; begin with null.',
      path: of.path,
    });
  }
  const type = (set & bits.directory) === 0 ? 'file' : 'directory';
  return {
    directory,
    recursive,
    generation: bytes.readUInt32BE(1 + idBytes),
    type,
    last: bytes.toString('utf8', fixedBytes),
  };
}
