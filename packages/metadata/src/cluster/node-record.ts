import type { KeyValue } from '@millpool/coordination';
import { MillpoolError } from '@millpool/protocol';

/** In the coordination store: `node/ID` holds a node while its lease lives. */
export const nodePrefix = 'node/';

/** What a node tells of itself. */
export interface NodeRecord {
  readonly id: string;
  /** Where others reach it: HOST:PORT. */
  readonly address: string;
  readonly version: string;
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
    const { id, address, version, joinedAt } = JSON.parse(Buffer.from(value).toString()) as Partial<NodeRecord>;
    const isWhole = [address, version, joinedAt].every((text) => typeof text === 'string');
    if (typeof id === 'string' && idPattern.test(id) && isWhole)
      return { id, address, version, joinedAt } as NodeRecord;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw new MillpoolError({
    code: 'corrupt',
    message: `${key} in the coordination store is damaged`,
    remedy: 'Restart the nodes one after another: each writes its record anew.',
  });
}
