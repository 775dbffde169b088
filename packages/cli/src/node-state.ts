import { join } from 'node:path';

import { openLmdbStore } from '@millpool/coordination';
import type { CoordStore } from '@millpool/coordination';
import { systemClock } from '@millpool/host';
import type { Config, Log, Shutdown } from '@millpool/host';
import { startMetadata } from '@millpool/metadata';
import type { LocalMetadata, Metadata } from '@millpool/metadata';
import type { ClusterMethod, Handlers } from '@millpool/protocol';
import { readTrust } from '@millpool/transport';
import { openUnderStorage } from '@millpool/under-storage';

import { namesBytesOf } from './budget-parts.ts';
import type { ClusterConfig } from './cluster-config.ts';
import type { ClusterMember } from './cluster-member.ts';
import { openSharedStore } from './shared-store.ts';

/** What of the settings it goes by. */
export type StateConfig = ClusterConfig &
  Pick<Config, 'stateDirectory' | 'sourceTimeoutMs' | 'credentialsRefreshMs' | 'listsAtOnce' | 'budgetBytes'>;

/** What a node keeps of names, and what it knows of its cluster. */
export interface NodeState {
  /** This node's own. */
  readonly store: CoordStore;
  readonly metadata: Metadata;
  /** Null for a node that is alone. */
  readonly member: ClusterMember | null;
  /** None where it is alone. */
  readonly clusterHandlers: Partial<Handlers<ClusterMethod>>;
}

/** `parts` closes it in the opposite order. */
export async function openState(config: StateConfig, log: Log, parts: Shutdown): Promise<NodeState> {
  const { stateDirectory, cluster, tokenFile: token, tlsAuthority: authority, tlsCertificate: certificate } = config;
  const trust = cluster === null ? null : await readTrust({ token, authority, certificate, key: config.tlsKey });
  const store = await openLmdbStore(join(stateDirectory, 'coordination'));
  parts.onClose('the coordination store', () => store.close());
  const own = (shared?: { readonly store: CoordStore; readonly shards: number }): Promise<LocalMetadata> =>
    startOwn(config, { store, log, parts, ...(shared === undefined ? {} : { shared }) });
  if (cluster === null) return { store, metadata: await own(), member: null, clusterHandlers: {} };

  const shared = await openSharedStore(cluster, config, log);
  parts.onClose('the connection to etcd', () => shared.close());
  const [{ joinCluster }, { clusterLayout }] = await Promise.all([
    import('./cluster-member.ts'),
    import('@millpool/metadata/cluster'),
  ]);
  const { shards } = await clusterLayout(shared, config.shards);
  const local = await own({ store: shared, shards });
  const of = { store, shared, shards, local, trust, parts, log: log.with({ part: 'cluster' }) };
  const member = await joinCluster(config, of);
  return { store, metadata: member.metadata, member, clusterHandlers: member.handlers };
}

async function startOwn(
  { stateDirectory, sourceTimeoutMs, credentialsRefreshMs, listsAtOnce, budgetBytes }: StateConfig,
  of: {
    readonly store: CoordStore;
    readonly shared?: { readonly store: CoordStore; readonly shards: number };
    readonly log: Log;
    readonly parts: Shutdown;
  },
): Promise<LocalMetadata> {
  const patience = { requestMs: sourceTimeoutMs, credentialsMs: credentialsRefreshMs };
  const { store, shared, log, parts } = of;
  const metadata = await startMetadata({
    directory: join(stateDirectory, 'metadata'),
    store,
    open: (source, s3) => openUnderStorage(source, s3, patience),
    clock: systemClock,
    log: log.with({ part: 'metadata' }),
    listsAtOnce,
    hotNamesBytes: namesBytesOf(budgetBytes),
    ...(shared === undefined ? {} : { shared: shared.store, shards: shared.shards }),
  });
  parts.onClose('the metadata service', () => metadata.stop());
  return metadata;
}
