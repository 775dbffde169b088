import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';

import { sizeDevices, startCache, tierDirectories } from '@millpool/cache';
import type { DeviceSize } from '@millpool/cache';
import { openLmdbStore } from '@millpool/coordination';
import { Shutdown, systemClock } from '@millpool/host';
import type { Config, Log } from '@millpool/host';
import { startMetadata } from '@millpool/metadata';
import { Engine } from '@millpool/native';
import type { Handlers, MillpoolError, Tier } from '@millpool/protocol';
import { listenTransport } from '@millpool/transport';
import { openUnderStorage } from '@millpool/under-storage';

import { engineBytesOf } from './budget-parts.ts';
import { listenMetrics } from './metrics-endpoint.ts';
import { checkStateRoom, ownDirectory } from './own-directory.ts';
import { controlSocketOf } from './sockets.ts';
import { version } from './version.ts';

const socketMode = 0o660;

/** What is cached and what is kept is nobody else's to read. */
const dataUse = { what: 'The data directory', setting: '--data or MILLPOOL_DATA', mode: 0o700 };
const slowUse = { what: 'The data directory', setting: '--slow-data or MILLPOOL_SLOW_DATA', mode: 0o700 };
const stateUse = { what: 'The state directory', setting: 'MILLPOOL_STATE_DIRECTORY', mode: 0o700 };
const socketUse = { what: 'The directory of the socket', setting: '--socket or MILLPOOL_SOCKET', mode: 0o777 };

export type NodeConfig = Pick<
  Config,
  | 'dataDirectories'
  | 'slowDataDirectories'
  | 'rotational'
  | 'socket'
  | 'size'
  | 'slowSize'
  | 'budgetBytes'
  | 'extentDelayMs'
  | 'idleSealMs'
  | 'sourceTimeoutMs'
  | 'hedge'
  | 'credentialsRefreshMs'
  | 'keepUnreadMs'
  | 'copyShare'
  | 'listsAtOnce'
  | 'stateDirectory'
  | 'stopTimeoutMs'
  | 'metrics'
>;

export interface Node {
  readonly handlers: Handlers;
  /** Stops what was started, the last first; what failed to stop, or not in its time. */
  stop(): Promise<readonly MillpoolError[]>;
}

/**
 * A whole node in this process: coordination store, metadata, cache, and the two sockets. What is started before a
 * failure is stopped again.
 */
export async function startNode(config: NodeConfig, log: Log, onShutdown: () => void): Promise<Node> {
  const { dataDirectories, slowDataDirectories, socket, budgetBytes, extentDelayMs, idleSealMs, sourceTimeoutMs } =
    config;
  const { credentialsRefreshMs, keepUnreadMs, copyShare, listsAtOnce, hedge } = config;
  const patience = { requestMs: sourceTimeoutMs, credentialsMs: credentialsRefreshMs };
  const { stateDirectory, stopTimeoutMs, metrics } = config;
  const parts = new Shutdown({ clock: systemClock, log, partTimeoutMs: stopTimeoutMs });
  try {
    for (const directory of dataDirectories) await ownDirectory(directory, dataUse);
    for (const directory of slowDataDirectories ?? []) await ownDirectory(directory, slowUse);
    await ownDirectory(stateDirectory, stateUse);
    await ownDirectory(dirname(socket), socketUse);
    await checkStateRoom(stateDirectory);
    const devices = await devicesOf(config);

    // First of all: it locks the data directories, so that two daemons never share the state in them.
    const engineBytes = engineBytesOf(budgetBytes);
    const engine = await Engine.open({
      devices,
      extentDelayMs,
      idleSealMs,
      budgetBytes: engineBytes,
      sourceTimeoutMs,
      hedge: hedge === 'on',
      threads: Math.max(2, Math.min(16, availableParallelism())),
    });
    parts.onClose('the segments', async () => void (await engine.close()));
    for (const notice of engine.notices()) log.warn('not used of a data directory', { notice });
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
    const cache = await startCache(
      {
        stateDirectory,
        socket,
        socketMode,
        budgetBytes,
        engineBytes,
        version,
        credentialsRefreshMs,
        keepUnreadMs,
        copyShare,
      },
      { engine, metadata, coordination: store, clock: systemClock, log: log.with({ part: 'cache' }), onShutdown },
    );
    parts.onClose('the cache daemon', () => cache.stop());
    const control = await listenTransport(controlSocketOf(socket), cache.handlers);
    parts.onClose('the control socket', () => control.close());
    if (metrics !== null) {
      const { signal } = new AbortController();
      const endpoint = await listenMetrics(metrics, () => cache.handlers.activity({}, { signal }));
      parts.onClose('the metrics endpoint', () => endpoint.close());
    }
    return { handlers: cache.handlers, stop: () => parts.close() };
  } catch (error) {
    await parts.close();
    throw error;
  }
}

async function devicesOf(config: NodeConfig): Promise<readonly DeviceSize[]> {
  const directories = [...(await tierDirectories(config))];
  const of = (wanted: Tier): string[] => directories.flatMap(([path, tier]) => (tier === wanted ? [path] : []));
  const fast = await sizeDevices(of('fast'), config.size, 'fast');
  return [...fast, ...(await sizeDevices(of('slow'), config.slowSize, 'slow'))];
}
