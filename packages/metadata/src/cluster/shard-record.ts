import type { KeyValue } from '@millpool/coordination';
import { MillpoolError } from '@millpool/protocol';

import { clusterPrefix } from './cluster-key.ts';

/** In the coordination store: `cluster/shard/0007` holds who owns shard 7, and since which term. */
export const shardPrefix = `${clusterPrefix}shard/`;

export interface ShardRecord {
  /** The id of a node. */
  readonly owner: string;
  /** One more with each owner that the shard has had. */
  readonly term: number;
}

const digits = 4;

export function shardName(shard: number): string {
  return String(shard).padStart(digits, '0');
}

export function shardKey(shard: number): string {
  return shardPrefix + shardName(shard);
}

export function encodeShard({ owner, term }: ShardRecord): Uint8Array {
  return Buffer.from(JSON.stringify({ owner, term }));
}

/** Throws `corrupt`. */
export function decodeShard({ key, value }: Pick<KeyValue, 'key' | 'value'>): ShardRecord {
  try {
    const { owner, term } = JSON.parse(Buffer.from(value).toString()) as Partial<ShardRecord>;
    if (typeof owner === 'string' && Number.isSafeInteger(term) && (term ?? 0) >= 1) return { owner, term: term ?? 0 };
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw new MillpoolError({
    code: 'corrupt',
    message: `${key} in the coordination store is damaged`,
    remedy: 'Put the shard map back with `millpool admin map restore`.',
  });
}
