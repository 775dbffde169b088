import { join } from 'node:path';

import { startCache } from '@millpool/cache';
import type { LeftOut } from '@millpool/cache';
import { openLmdbStore } from '@millpool/coordination';
import type { CoordStore } from '@millpool/coordination';
import { systemClock } from '@millpool/host';
import type { Log, Shutdown } from '@millpool/host';
import { startMetadata } from '@millpool/metadata';
import type { Metadata } from '@millpool/metadata';
import { HeapLimit } from '@millpool/native';
import type { Engine } from '@millpool/native';
import type { Handlers, NodeMethod } from '@millpool/protocol';
import { listenTransport } from '@millpool/transport';
import { openUnderStorage } from '@millpool/under-storage';

import { callBytes, heapBytesOf, heapReserveBytes } from './budget-parts.ts';
import type { NodeConfig } from './node-config.ts';
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

/** All of a node but its engine: what it keeps, what it decides, and its sockets. */
export async function startServices(
  config: NodeConfig,
  { opening, leftOut, engineBytes, parts, log, onShutdown }: ServiceParts,
): Promise<Handlers<NodeMethod>> {
  const heap = HeapLimit.set(heapBytesOf(config.budgetBytes), heapReserveBytes);
  if (!heap.isSet) log.warn('the heap has no limit of its own', { node: process.version });
  const { store, metadata } = await openState(config, log, parts);
  const engine = await opening;
  const told = tellNotices(engine, log);
  parts.onClose('the key table', () => told);
  const cache = await startCache(
    { ...config, socketMode, engineBytes, callBytes, version, leftOut },
    { engine, metadata, coordination: store, clock: systemClock, log: log.with({ part: 'cache' }), heap, onShutdown },
  );
  parts.onClose('the cache daemon', () => cache.stop());
  const control = await listenTransport(controlSocketOf(config.socket), cache.handlers, cache.turns);
  parts.onClose('the control socket', () => control.close());
  if (config.metrics !== null) {
    const { listenMetrics } = await import('./metrics-endpoint.ts');
    const { signal } = new AbortController();
    const endpoint = await listenMetrics(config.metrics, () => cache.handlers.activity({}, { signal }));
    parts.onClose('the metrics endpoint', () => endpoint.close());
  }
  return cache.handlers;
}

/** When it has read what earlier runs left, which may be long after it serves. */
async function tellNotices(engine: Engine, log: Log): Promise<void> {
  for (const notice of await engine.loaded()) log.warn('not used of a data directory', { notice });
}

async function openState(
  { stateDirectory, sourceTimeoutMs, credentialsRefreshMs, listsAtOnce }: NodeConfig,
  log: Log,
  parts: Shutdown,
): Promise<{ readonly store: CoordStore; readonly metadata: Metadata }> {
  const patience = { requestMs: sourceTimeoutMs, credentialsMs: credentialsRefreshMs };
  const store = await openLmdbStore(join(stateDirectory, 'coordination'));
  parts.onClose('the coordination store', () => store.close());
  const metadata = await startMetadata({
    directory: join(stateDirectory, 'metadata'),
    store,
    open: (source, s3) => openUnderStorage(source, s3, patience),
    clock: systemClock,
    log: log.with({ part: 'metadata' }),
    listsAtOnce,
  });
  parts.onClose('the metadata service', () => metadata.stop());
  return { store, metadata };
}
