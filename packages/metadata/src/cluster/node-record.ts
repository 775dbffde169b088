import type { KeyValue } from '@millpool/coordination';
import { MillpoolError, roles } from '@millpool/protocol';
import type { Role } from '@millpool/protocol';

import { clusterPrefix } from './cluster-key.ts';

/** In the coordination store: `cluster/node/ID` holds a node while its lease lives. */
export const nodePrefix = `${clusterPrefix}node/`;

/** What a node tells of itself. */
export interface NodeRecord {
  readonly id: string;
  /** Where others reach it: HOST:PORT. */
  readonly address: string;
  readonly version: string;
  readonly roles: readonly Role[];
  /** When it joined last, ISO 8601. */
  readonly joinedAt: string;
}

/** The same for the life of a data directory. */
const idPattern = /^[a-z0-9][a-z0-9-]{0,62}$/;

export function nodeKey(id: string): string {
  return nodePrefix + id;
}

export function encodeNode(node: NodeRecord): Uint8Array {
  return Buffer.from(JSON.stringify(node));
}

/** Throws `corrupt`. */
export function decodeNode({ key, value }: KeyValue): NodeRecord {
  try {
    const said = JSON.parse(Buffer.from(value).toString()) as Partial<NodeRecord>;
    const { id, address, version, joinedAt, roles: has } = said;
    const isWhole =
      [address, version, joinedAt].every((text) => typeof text === 'string') &&
      Array.isArray(has) &&
      has.every((role) => roles.includes(role));
    if (typeof id === 'string' && idPattern.test(id) && isWhole)
      return { id, address, version, joinedAt, roles: has } as NodeRecord;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw new MillpoolError({
    code: 'corrupt',
    message: `${key} in the coordination store is damaged`,
    remedy: 'Restart the nodes one after another: each writes its record anew.',
  });
}
