import { entryClassCount, MillpoolError } from '@millpool/protocol';
import type { CopyPlace, ListingPart, NamesPart, OwnerCopyRequest } from '@millpool/protocol';

import type { Directory } from './directory.ts';
import { classesIn } from './entries.ts';
import type { Entries } from './entries.ts';
import { hashName } from './name-hash.ts';
import { isInPart } from './partition-map.ts';
import { EntryBlock, EntryBlockWriter } from './store/entry-block.ts';
import { entryClasses } from './store/keys.ts';
import type { EntryClass } from './store/keys.ts';
import type { DirectoryRecord } from './store/records.ts';
import type { Turns } from './turns.ts';
import type { Update } from './update.ts';

/** A copy of a listing that somebody else has, part by part. */
export interface ListingCopy {
  readonly first: ListingPart;
  /** Of the same listing, or of a later one. */
  more(after: CopyPlace): Promise<ListingPart>;
}

/** Who has listings that this node would have to make. */
export interface ListingCopies {
  /** Null: nobody has the directory's. */
  open(directory: Directory, wanted: WantedCopy, signal: AbortSignal): Promise<ListingCopy | null>;
}

/** No older than that, null: of any age; and only if it is another one than `known`. */
export type WantedCopy = Pick<OwnerCopyRequest, 'maxAgeSeconds' | 'known'>;

interface Parts {
  readonly entries: Entries;
  readonly turns: Turns;
  /** Milliseconds, never going back. */
  readonly nowMs: () => number;
}

interface Wanted {
  readonly directory: Directory;
  readonly record: DirectoryRecord;
  /** Null: all names. */
  readonly part: NamesPart | null;
  readonly after: CopyPlace | null;
}

/** Of 16 KiB each, at most. */
const blocksAPart = 256;
/** Gone through between two looks at the clock. */
const entriesALook = 256;
const noName = Buffer.alloc(0);
const slash = 0x2f;

/** What is stored of a directory behind a place: of one class, so much as one message should have. */
export async function partOf(
  { entries, turns, nowMs }: Parts,
  of: Wanted,
  signal: AbortSignal,
): Promise<Pick<ListingPart, 'kind' | 'blocks' | 'next'>> {
  const { directory, record, part, after } = of;
  const kinds = classesIn(record).filter((kind) => after === null || kind >= after.kind);
  const blocks: Uint8Array[] = [];
  const writer = new EntryBlockWriter(({ value }) => blocks.push(value));
  for (const [at, kind] of kinds.entries()) {
    const from = after?.kind === kind ? Buffer.from(after.name).toString('latin1') : '';
    const scan = entries.scan(directory, { kinds: [kind], from, to: null, part });
    let last = from;
    try {
      if (from !== '' && scan.head?.order === from) scan.pass();
      while (scan.head !== null && blocks.length < blocksAPart) {
        const sliceMs = await turns.next(signal);
        const beganMs = nowMs();
        do {
          for (let left = entriesALook; left > 0 && scan.head !== null; left -= 1) {
            last = scan.head.order;
            const name = Buffer.from(last, 'latin1');
            if (part === null || isInPart(part, hashName(name))) writer.add(name, scan.head.value);
            scan.pass();
          }
        } while (scan.head !== null && blocks.length < blocksAPart && nowMs() - beganMs < sliceMs);
      }
      writer.end();
      if (scan.head !== null) return { kind, blocks, next: { kind, name: Buffer.from(last, 'latin1') } };
    } finally {
      scan.close();
    }
    const following = kinds[at + 1];
    const next = following === undefined ? null : { kind: following, name: noName };
    if (blocks.length > 0) return { kind, blocks, next };
  }
  return { kind: entryClasses.plainFile, blocks, next: null };
}

/**
 * Adds what follows a place (null: the beginning), and gives how many entries that were. `corrupt` where it is not what
 * a store could have there, or does not lead on: names out of their order would be found by nobody.
 */
export function addPart(update: Update, part: ListingPart, after: CopyPlace | null): number {
  const { kind, blocks, next } = part;
  if (!isEntryClass(kind) || kind < (after?.kind ?? 0)) throw broken();
  const from: Uint8Array = after?.kind === kind ? after.name : noName;
  let last = from;
  let count = 0;
  for (const bytes of blocks) {
    const block = blockOf(bytes);
    for (let at = 0; at < block.count; at += 1) {
      const [name, value] = [block.name(at), block.value(at)];
      const isDirectory = block.record(at).type === 'directory';
      const isInPlace = Buffer.compare(name, last) > 0 && !name.includes(slash);
      if (!isInPlace || isDirectory !== (kind === entryClasses.directory)) throw broken();
      update.addStored(kind, name, value);
      last = name;
    }
    count += block.count;
  }
  if (next !== null && next.kind <= kind) {
    // Names that are not wanted may come behind the last one, but not all of them again.
    const leadsOn = Buffer.compare(next.name, last) >= 0 && Buffer.compare(next.name, from) > 0;
    if (next.kind < kind || !leadsOn) throw broken();
  }
  return count;
}

function blockOf(bytes: Uint8Array): EntryBlock {
  return new EntryBlock(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
}

function isEntryClass(kind: number): kind is EntryClass {
  return Number.isInteger(kind) && kind >= 0 && kind < entryClassCount;
}

function broken(): MillpoolError {
  return new MillpoolError({
    code: 'corrupt',
    message: 'another node sent a part of a listing that is damaged',
    remedy: 'Compare the versions of the nodes: `millpool admin nodes`. Meanwhile the source is listed.',
  });
}
