import type { KeyValue } from '@millpool/coordination';
import { MillpoolError } from '@millpool/protocol';

import { clusterPrefix } from './cluster-key.ts';

/**
 * In the coordination store: `cluster/away/ID` says that a node means to be back soon, while a lease of its own lives;
 * nobody is given its shards meanwhile.
 */
export const awayPrefix = `${clusterPrefix}away/`;

export interface AwayRecord {
  /** ISO 8601, for people. */
  readonly until: string;
}

export function awayKey(id: string): string {
  return awayPrefix + id;
}

export function encodeAway({ until }: AwayRecord): Uint8Array {
  return Buffer.from(JSON.stringify({ until }));
}

/** Throws `corrupt`. */
export function decodeAway({ key, value }: KeyValue): AwayRecord {
  try {
    const { until } = JSON.parse(Buffer.from(value).toString()) as Partial<AwayRecord>;
    if (typeof until === 'string') return { until };
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw new MillpoolError({
    code: 'corrupt',
    message: `${key} in the coordination store is damaged`,
    remedy: 'Delete it: the shards of that node then go to others.',
  });
}
