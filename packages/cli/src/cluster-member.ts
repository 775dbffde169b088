import { hostname } from 'node:os';

import type { CoordStore } from '@millpool/coordination';
import { systemClock } from '@millpool/host';
import type { Log, Shutdown } from '@millpool/host';
import type { LocalMetadata, Metadata } from '@millpool/metadata';
import {
  ClusterAdmin,
  ClusterMap,
  ClusterNode,
  DirectoryAdmin,
  DirectoryWarden,
  HeatCounter,
  HotDirectories,
  nodesThere,
  ownerHandlers,
  Peers,
  routedMetadata,
  ShardContents,
} from '@millpool/metadata/cluster';
import { MillpoolError } from '@millpool/protocol';
import type { ClusterMethod, Handlers, OwnerMethod } from '@millpool/protocol';
import { connectTcp, formatTcpAddress, listenTcp, openToAll, parseTcpAddress } from '@millpool/transport';
import type { TcpAddress, TcpTransportServer, Trust } from '@millpool/transport';

import type { ClusterConfig } from './cluster-config.ts';
import { nodeIdOf } from './node-id.ts';
import { version } from './version.ts';

interface MemberParts {
  /** This node's own. */
  readonly store: CoordStore;
  readonly shared: CoordStore;
  readonly shards: number;
  readonly local: LocalMetadata;
  readonly trust: Trust | null;
  readonly parts: Shutdown;
  readonly log: Log;
}

/** What a node has of its cluster. */
export interface ClusterMember {
  readonly id: string;
  readonly address: string;
  readonly metadata: Metadata;
  readonly handlers: Handlers<ClusterMethod>;
}

const nodesToAsk = 3;
const anyOfThisMachine: TcpAddress = { host: '127.0.0.1', port: 0 };

/** It listens, is a member, and owns what nobody else does; `parts` ends that in the opposite order. */
export async function joinCluster(config: ClusterConfig, of: MemberParts): Promise<ClusterMember> {
  const { store, shared, shards, local, trust, parts, log } = of;
  const { roles } = config;
  await checkTrust(shared, trust, log);
  const id = await nodeIdOf(store, roles);
  let begin = (_: Handlers<OwnerMethod>): void => undefined;
  const ready = new Promise<Handlers<OwnerMethod>>((resolve) => (begin = resolve));
  const server = await listen(config, { trust, log, handlers: whenReady(ready) });
  parts.onClose('the address for other nodes', () => server.close());
  const address = addressOf(server);
  const common = { store: shared, clock: systemClock, log };
  const node = await ClusterNode.start({ node: { id, address, version, roles }, shards, ...common });
  parts.onClose('the membership of the cluster', () => node.stop(config.rebootGraceMs));
  const heat = new HeatCounter(systemClock);
  const connect = (to: string) => connectTcp(parseTcpAddress(to), trust);
  const peers = new Peers({ view: node.view, connect, clock: systemClock, log });
  parts.onClose('the connections to other nodes', () => peers.close());
  const routed = routedMetadata({ node, local, peers, heat, ...common });
  parts.onClose('the copies of directories', async () => routed.close());
  begin(ownerHandlers(routed.routing));
  const { hotReadsPerS } = config;
  const warden = DirectoryWarden.start({ node, local, heat, hotReadsPerS, ...common });
  parts.onClose('what is done for hot directories', () => warden.stop());
  const hot = new HotDirectories({ node, local, peers, heat });
  const contents = new ShardContents({ node, local, peers, heat });
  log.info('joined the cluster', { node: id, address, roles: roles.join(), shards });
  return {
    id,
    address,
    metadata: routed.metadata,
    handlers: {
      ...new ClusterAdmin({ id, view: node.view, contents: (signal) => contents.all(signal), ...common }).handlers,
      ...new ClusterMap(common).handlers,
      ...new DirectoryAdmin({ node, local, hot, ...common }).handlers,
    },
  };
}

/**
 * A node that the others do not trust is told so when it starts: as a member it would be of no use to anybody. Those
 * that do not answer say nothing of that.
 */
async function checkTrust(shared: CoordStore, trust: Trust | null, log: Log): Promise<void> {
  const asked = (await nodesThere(shared, nodesToAsk)).map(async ({ id, address }) => {
    try {
      const connection = await connectTcp(parseTcpAddress(address), trust);
      await connection.close();
    } catch (error) {
      if (error instanceof MillpoolError && error.code === 'refused') throw error;
      log.warn('a node of the cluster cannot be reached', { node: id, address, error });
    }
  });
  await Promise.all(asked);
}

function listen(
  { listen: at, clusterOpen }: ClusterConfig,
  of: { readonly trust: Trust | null; readonly log: Log; readonly handlers: Handlers<OwnerMethod> },
): Promise<TcpTransportServer> {
  const address = at === null ? anyOfThisMachine : parseTcpAddress(at);
  const admission = of.trust ?? (clusterOpen === 'on' ? openToAll : null);
  return listenTcp(address, of.handlers, { admission, log: of.log });
}

/** Where others reach it: a node that listens at every address of its machine is known by the machine's name. */
function addressOf({ address: { host, port } }: TcpTransportServer): string {
  const isAny = host === '0.0.0.0' || host === '::';
  return formatTcpAddress({ host: isAny ? hostname() : host, port });
}

/** A node listens before it is a member, and is asked nothing before. */
function whenReady(ready: Promise<Handlers<OwnerMethod>>): Handlers<OwnerMethod> {
  return {
    'owner-lookup': async (request, context) => (await ready)['owner-lookup'](request, context),
    'owner-list': async (request, context) => (await ready)['owner-list'](request, context),
    'owner-copy': async (request, context) => (await ready)['owner-copy'](request, context),
    'owner-take': async (request, context) => (await ready)['owner-take'](request, context),
    'owner-reads': async (request, context) => (await ready)['owner-reads'](request, context),
    'owner-shards': async (request, context) => (await ready)['owner-shards'](request, context),
    'owner-heat': async (request, context) => (await ready)['owner-heat'](request, context),
  };
}
