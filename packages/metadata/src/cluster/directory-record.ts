import type { KeyValue } from '@millpool/coordination';
import { MillpoolError, rungs } from '@millpool/protocol';
import type { Rung } from '@millpool/protocol';

import { clusterPrefix } from './cluster-key.ts';

/** In the coordination store: `cluster/directory/<id in hex>` has what is done for the load of a directory. */
export const directoryPrefix = `${clusterPrefix}directory/`;

export interface DirectoryRecord {
  readonly attachment: number;
  readonly path: string;
  readonly rung: Rung;
  /** Hash of the name that has replicas, on that rung. */
  readonly entry: number | null;
  /** The shards of its partitions; one: it is whole, at its home. */
  readonly shards: readonly number[];
  /** ISO 8601. */
  readonly since: string;
  /** One sentence with the numbers that led to it. */
  readonly reason: string;
  /** An operator has said so; its load changes nothing of it. */
  readonly isPinned: boolean;
}

export interface KeptDirectory extends DirectoryRecord {
  readonly id: string;
  readonly modRevision: number;
}

type KeptRecord = Pick<KeyValue, 'key' | 'value' | 'modRevision'>;

/** Of a directory by its id in hex. */
export function directoryRecordKey(id: string): string {
  return directoryPrefix + id;
}

export function encodeDirectoryRecord(record: DirectoryRecord): Uint8Array {
  const { attachment, path, rung, entry, shards, since, reason, isPinned } = record;
  return Buffer.from(JSON.stringify({ attachment, path, rung, entry, shards, since, reason, isPinned }));
}

/** Throws `corrupt`. */
export function decodeDirectoryRecord({ key, value, modRevision }: KeptRecord): KeptDirectory {
  try {
    const said = JSON.parse(Buffer.from(value).toString()) as Partial<DirectoryRecord>;
    const { attachment, path, rung, entry = null, shards, since, reason, isPinned = false } = said;
    const isWhole =
      isPartCount(shards?.length ?? 0) &&
      [path, since, reason].every((text) => typeof text === 'string') &&
      [attachment, entry ?? 0, ...(Array.isArray(shards) ? shards : [null])].every((number) =>
        Number.isSafeInteger(number),
      );
    if (isWhole && rungs.some((known) => known === rung)) {
      const id = key.slice(directoryPrefix.length);
      return { attachment, path, rung, entry, shards, since, reason, isPinned, id, modRevision } as KeptDirectory;
    }
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw new MillpoolError({
    code: 'corrupt',
    message: `${key} in the coordination store is damaged`,
    remedy: 'Delete it: the directory is then answered for by the owner of its home alone.',
  });
}

function isPartCount(count: number): boolean {
  return count >= 1 && (count & (count - 1)) === 0;
}
