import { BlockPacker } from '@millpool/native';
import { entryClassCount } from '@millpool/protocol';
import type { CopyPlace, ListingPart, NamesPart, OwnerCopyRequest } from '@millpool/protocol';

import { brokenCopy } from './copied-block.ts';
import type { Directory } from './directory.ts';
import { classesIn } from './entries.ts';
import type { Entries } from './entries.ts';
import { EntryBlock } from './store/entry-block.ts';
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
const entriesALook = 2_048;
const noName = Buffer.alloc(0);

/** What is stored of a directory behind a place: of one class, so much as one message should have. */
export async function partOf(
  { entries, turns, nowMs }: Parts,
  { directory, record, part, after }: Wanted,
  signal: AbortSignal,
): Promise<Pick<ListingPart, 'kind' | 'blocks' | 'next'>> {
  const kinds = classesIn(record).filter((kind) => after === null || kind >= after.kind);
  for (const [at, kind] of kinds.entries()) {
    const behind = after?.kind === kind && after.name.length > 0 ? Buffer.from(after.name) : null;
    const from = behind === null ? null : { class: kind, name: behind };
    const sorted = entries.sorted(directory, { kinds: [kind], part, after: from });
    const packer = new BlockPacker(part);
    let more = true;
    try {
      while (more && packer.count < blocksAPart) {
        const sliceMs = await turns.next(signal);
        const endMs = nowMs() + sliceMs;
        do more = sorted.take(entriesALook, packer);
        while (more && packer.count < blocksAPart && nowMs() < endMs);
      }
    } finally {
      sorted.letGo();
    }
    const blocks = packer.blocks();
    if (more) return { kind, blocks, next: { kind, name: sorted.last?.name ?? noName } };
    const following = kinds[at + 1];
    const next = following === undefined ? null : { kind: following, name: noName };
    if (blocks.length > 0 || next === null) return { kind, blocks, next };
  }
  return { kind: entryClasses.plainFile, blocks: [], next: null };
}

/**
 * Adds what follows a place (null: the beginning), and gives how many entries that were. `corrupt` where it is not what
 * a store could have there, or does not lead on: names out of their order would be found by nobody.
 */
export function addPart(update: Update, part: ListingPart, after: CopyPlace | null): number {
  const { kind, blocks, next } = part;
  if (!isEntryClass(kind) || kind < (after?.kind ?? 0)) throw brokenCopy();
  const from: Uint8Array = after?.kind === kind ? after.name : noName;
  let last = from;
  let count = 0;
  for (const bytes of blocks) {
    const block = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    last = update.addBlock(kind, block, last);
    count += new EntryBlock(block).count;
  }
  if (next !== null && next.kind <= kind) {
    // Names that are not wanted may come behind the last one, but not all of them again.
    const leadsOn = Buffer.compare(next.name, last) >= 0 && Buffer.compare(next.name, from) > 0;
    if (next.kind < kind || !leadsOn) throw brokenCopy();
  }
  return count;
}

function isEntryClass(kind: number): kind is EntryClass {
  return Number.isInteger(kind) && kind >= 0 && kind < entryClassCount;
}
