import { readFile } from 'node:fs/promises';

import type { CoordStore } from '@millpool/coordination';
import type { Log } from '@millpool/host';
import { MillpoolError } from '@millpool/protocol';

import type { ClusterConfig } from './cluster-config.ts';

/** The etcd of a cluster. What speaks to it is loaded here: a node that is alone needs none of it. */
export async function openSharedStore(address: string, config: ClusterConfig, log: Log): Promise<CoordStore> {
  const { etcdAuthority, etcdCertificate, etcdKey } = config;
  if ((etcdCertificate === null) !== (etcdKey === null)) {
    throw new MillpoolError({
      code: 'invalid',
      message: 'A certificate for etcd and its key belong together.',
      remedy: 'Set both MILLPOOL_ETCD_CERT and MILLPOOL_ETCD_KEY, or neither.',
    });
  }
  const [authority, certificate, key] = await Promise.all([etcdAuthority, etcdCertificate, etcdKey].map(read));
  const { openEtcdStore } = await import('@millpool/coordination/etcd');
  const client = certificate && key ? { certificate, key } : null;
  return openEtcdStore(address, { log, tls: { authority: authority ?? null, client } });
}

async function read(path: string | null): Promise<Buffer | null> {
  if (path === null) return null;
  return readFile(path).catch((thrown: NodeJS.ErrnoException) => {
    const fault = { message: `${path} cannot be read: ${thrown.message}`, remedy: 'Name a file that is there.', path };
    throw new MillpoolError({ ...fault, code: thrown.code === 'ENOENT' ? 'not-found' : 'io' }, { cause: thrown });
  });
}
