import { MillpoolError } from '@millpool/protocol';

import type { RunItem } from './sorted-run.ts';
import { EntryBlock } from './store/entry-block.ts';
import { entryClasses } from './store/keys.ts';
import type { EntryClass } from './store/keys.ts';

const slash = 0x2f;

/** Entries of one class that another store has, each behind the one before. `corrupt` where that is not so. */
export function copiedEntries(kind: EntryClass, bytes: Buffer, after: Uint8Array): readonly RunItem[] {
  const block = new EntryBlock(bytes);
  let last = after;
  return Array.from({ length: block.count }, (_, at) => {
    const [name, value] = [block.name(at), block.value(at)];
    const isDirectory = block.record(at).type === 'directory';
    const isInPlace = Buffer.compare(name, last) > 0 && !name.includes(slash);
    if (!isInPlace || isDirectory !== (kind === entryClasses.directory)) throw brokenCopy();
    last = name;
    return { name, value };
  });
}

/** Of a block, which has one. */
export function lastNameOf(entries: readonly RunItem[]): Buffer {
  const last = entries.at(-1);
  if (last === undefined) throw brokenCopy();
  return last.name;
}

export function brokenCopy(): MillpoolError {
  return new MillpoolError({
    code: 'corrupt',
    message: 'another node sent a part of a listing that is damaged',
    remedy: 'Compare the versions of the nodes: `millpool admin nodes`. Meanwhile the source is listed.',
  });
}
