import { startCache } from '@millpool/cache';
import type { LeftOut } from '@millpool/cache';
import { systemClock } from '@millpool/host';
import type { Log, Shutdown } from '@millpool/host';
import { HeapLimit } from '@millpool/native';
import type { Engine } from '@millpool/native';
import type { Handlers, NodeMethod } from '@millpool/protocol';
import { listenTransport } from '@millpool/transport';

import { callBytes, heapBytesOf, heapReserveBytes } from './budget-parts.ts';
import type { ClusterMember } from './cluster-member.ts';
import type { NodeConfig } from './node-config.ts';
import { openState } from './node-state.ts';
import { controlSocketOf } from './sockets.ts';
import { version } from './version.ts';

const socketMode = 0o660;

interface ServiceParts {
  /** It has its directories, and reads what is in them. */
  readonly opening: Promise<Engine>;
  readonly leftOut: readonly LeftOut[];
  /** Of the budget, what the engine has. */
  readonly engineBytes: number;
  /** Takes what is opened here. */
  readonly parts: Shutdown;
  readonly log: Log;
  readonly onShutdown: () => void;
}

export interface Services {
  readonly handlers: Handlers<NodeMethod>;
  readonly member: ClusterMember | null;
}

/** All of a node but its engine: what it keeps, what it decides, and its sockets. */
export async function startServices(
  config: NodeConfig,
  { opening, leftOut, engineBytes, parts, log, onShutdown }: ServiceParts,
): Promise<Services> {
  const heap = HeapLimit.set(heapBytesOf(config.budgetBytes), heapReserveBytes);
  if (!heap.isSet) log.warn('the heap has no limit of its own', { node: process.version });
  const { store, metadata, member, clusterHandlers } = await openState(config, log, parts);
  const engine = await opening;
  const told = tellNotices(engine, log);
  parts.onClose('the key table', () => told);
  const cache = await startCache(
    { ...config, socketMode, engineBytes, callBytes, version, leftOut },
    { engine, metadata, coordination: store, clock: systemClock, log: log.with({ part: 'cache' }), heap, onShutdown },
  );
  parts.onClose('the cache daemon', () => cache.stop());
  const handlers = { ...cache.handlers, ...clusterHandlers };
  const control = await listenTransport(controlSocketOf(config.socket), handlers, cache.turns);
  parts.onClose('the control socket', () => control.close());
  if (config.metrics !== null) {
    const { listenMetrics } = await import('./metrics-endpoint.ts');
    const { signal } = new AbortController();
    const endpoint = await listenMetrics(config.metrics, () => cache.handlers.activity({}, { signal }));
    parts.onClose('the metrics endpoint', () => endpoint.close());
  }
  return { handlers: cache.handlers, member };
}

/** When it has read what earlier runs left, which may be long after it serves. */
async function tellNotices(engine: Engine, log: Log): Promise<void> {
  for (const notice of await engine.loaded()) log.warn('not used of a data directory', { notice });
}
