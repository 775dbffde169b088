import type { KeyValue } from '@millpool/coordination';
import { MillpoolError } from '@millpool/protocol';

import { clusterPrefix } from './cluster-key.ts';
import { shardName } from './shard-record.ts';

/** In the coordination store: `cluster/move/0007` asks the owner of shard 7 to hand it over, until it is deleted. */
export const movePrefix = `${clusterPrefix}move/`;

export interface MoveRecord {
  /** The id of a node. */
  readonly to: string;
  /** For people: who asked for it, or what. */
  readonly reason: string;
  /** Its listings go no faster, about; null: no limit. */
  readonly bytesPerSecond: number | null;
}

/** A request, and the revision by which it is answered. */
export interface AskedMove extends MoveRecord {
  readonly modRevision: number;
}

export function moveKey(shard: number): string {
  return movePrefix + shardName(shard);
}

export function encodeMove({ to, reason, bytesPerSecond }: MoveRecord): Uint8Array {
  return Buffer.from(JSON.stringify({ to, reason, bytesPerSecond }));
}

/** Throws `corrupt`. */
export function decodeMove({ key, value, modRevision }: KeyValue): AskedMove {
  try {
    const { to, reason, bytesPerSecond = null } = JSON.parse(Buffer.from(value).toString()) as Partial<MoveRecord>;
    const isRate = bytesPerSecond === null || (Number.isSafeInteger(bytesPerSecond) && bytesPerSecond > 0);
    if (typeof to === 'string' && typeof reason === 'string' && isRate)
      return { to, reason, bytesPerSecond, modRevision };
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw new MillpoolError({
    code: 'corrupt',
    message: `${key} in the coordination store is damaged`,
    remedy: 'Delete it, and ask for the move again.',
  });
}
