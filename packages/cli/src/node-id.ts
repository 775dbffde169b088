import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';

import type { CoordStore } from '@millpool/coordination';
import type { Role } from '@millpool/protocol';

const nodeIdKey = 'node-id';
const hostLengthMax = 40;

/**
 * The machine's name and eight digits, the same for the life of a state directory. A node that does not serve metadata
 * is another node than one that does, so that shards of the latter go to others.
 */
export async function nodeIdOf(store: CoordStore, roles: readonly Role[]): Promise<string> {
  const host = hostname()
    .toLowerCase()
    .replace(/[^a-z0-9-]+/g, '-')
    .replace(/^-+/, '')
    .slice(0, hostLengthMax);
  const value = Buffer.from(`${host === '' ? 'node' : host}-${randomBytes(4).toString('hex')}`);
  await store.txn({
    compare: [{ kind: 'exists', key: nodeIdKey, exists: false }],
    then: [{ kind: 'put', key: nodeIdKey, value }],
    otherwise: [],
  });
  const id = Buffer.from((await store.get(nodeIdKey))?.value ?? value).toString();
  return roles.includes('metadata') ? id : `${id}-cache`;
}
