import { Packr, Unpackr } from 'msgpackr';

import type { Entry } from './entry.ts';
import { MillpoolError } from './errors.ts';
import { joinPath } from './path.ts';

/**
 * Entries of one page of a listing as they travel: MessagePack, whole in itself, of one list: the path that was
 * listed, and of each entry its path below that, type (0 file, 1 directory), size, mtime in ms or nil, and tag. Whoever
 * only passes a page on does not look into it, and a peer in any language reads it without a map an entry.
 */
export type PackedEntries = Uint8Array;

export type EntryFields = Omit<Entry, 'path'>;

type Field = string | number | null;

const types = ['file', 'directory'] as const;
const fieldsAnEntry = 5;
const packr = new Packr({ useRecords: false });
const unpackr = new Unpackr({ useRecords: false, int64AsType: 'number' });

/** Takes the entries of a page one by one. */
export class EntryPacker {
  readonly #fields: Field[];

  /** `path`: what is listed. */
  constructor(path: string) {
    this.#fields = [path];
  }

  get count(): number {
    return (this.#fields.length - 1) / fieldsAnEntry;
  }

  /** `name`: its path below the one that is listed. */
  add(name: string, { type, size, mtimeMs, tag }: EntryFields): void {
    this.#fields.push(name, types.indexOf(type), size, mtimeMs, tag);
  }

  packed(): PackedEntries {
    return packr.pack(this.#fields);
  }
}

/** `invalid` where they are not packed entries. */
export function unpackEntries(packed: PackedEntries): Entry[] {
  const fields: unknown = unpackr.unpack(packed);
  if (!Array.isArray(fields) || fields.length % fieldsAnEntry !== 1) throw notEntries();
  const before = joinPath(fields[0] as string, '');
  const entries: Entry[] = [];
  for (let at = 1; at < fields.length; at += fieldsAnEntry) {
    const type = types[fields[at + 1] as number];
    if (type === undefined) throw notEntries();
    const [path, size] = [`${before}${fields[at] as string}`, fields[at + 2] as number];
    entries.push({ path, type, size, mtimeMs: fields[at + 3] as number | null, tag: fields[at + 4] as string });
  }
  return entries;
}

function notEntries(): MillpoolError {
  return new MillpoolError({
    code: 'invalid',
    message: 'what came as a page of a listing is not entries',
    remedy: 'Compare the versions of client and daemon.',
  });
}
