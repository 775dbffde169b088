import { availableParallelism } from 'node:os';
import { dirname } from 'node:path';

import { sizeDevices, tierDirectories } from '@millpool/cache';
import type { DeviceSize, LeftOut } from '@millpool/cache';
import { Shutdown, systemClock } from '@millpool/host';
import type { Log } from '@millpool/host';
import { Engine } from '@millpool/native';
import type { Handlers, NodeMethod, Size, Tier } from '@millpool/protocol';

import { engineBytesOf } from './budget-parts.ts';
import { findDataDirectories, noteDirectories } from './data-directories.ts';
import type { Given } from './data-directories.ts';
import { readMounts } from './mounts.ts';
import type { NodeConfig } from './node-config.ts';
import { checkStateRoom, ownDirectory } from './own-directory.ts';
import type { Daemon } from './run-daemon.ts';
import { readStateAhead } from './state-ahead.ts';

/** What is cached and what is kept is nobody else's to read. */
const dataUse = { what: 'The data directory', setting: '--data or MILLPOOL_DATA', mode: 0o700 };
const slowUse = { what: 'The data directory', setting: '--slow-data or MILLPOOL_SLOW_DATA', mode: 0o700 };
const stateUse = { what: 'The state directory', setting: 'MILLPOOL_STATE_DIRECTORY', mode: 0o700 };
const socketUse = { what: 'The directory of the socket', setting: '--socket or MILLPOOL_SOCKET', mode: 0o777 };

export interface Node extends Daemon {
  readonly handlers: Handlers<NodeMethod>;
}

/**
 * A whole node in this process: segments, coordination store, metadata, cache, and the two sockets. What is started
 * before a failure is stopped again.
 */
export async function startNode(config: NodeConfig, log: Log, onShutdown: () => void): Promise<Node> {
  const engineBytes = engineBytesOf(config.budgetBytes);
  const parts = new Shutdown({ clock: systemClock, log, partTimeoutMs: config.stopTimeoutMs });
  try {
    const ahead = readStateAhead(config.stateDirectory);
    // First of all: it locks the data directories, so that two daemons never share the state in them. Reading what is
    // in them takes as long as loading the rest of the program does.
    const { opening, leftOut } = await openEngine(config, engineBytes, log);
    parts.onClose('the segments', async () => void (await (await opening.catch(() => null))?.close()));
    const { startServices } = await import('./services.ts');
    await ahead;
    const services = await startServices(config, { opening, leftOut, engineBytes, parts, log, onShutdown });
    return { ...services, stop: () => parts.close() };
  } catch (error) {
    await parts.close();
    throw error;
  }
}

/** In an object, since nobody waits for it yet. */
async function openEngine(
  config: NodeConfig,
  budgetBytes: number,
  log: Log,
): Promise<{ readonly opening: Promise<Engine>; readonly leftOut: readonly LeftOut[] }> {
  const { stateDirectory, socket } = config;
  const mounts = await readMounts();
  const { usable, leftOut } = await findDataDirectories(givenBy(config), mounts);
  for (const { reason } of leftOut) log.error('a data directory is left out until the next start', { reason });
  await ownDirectory(stateDirectory, stateUse);
  await ownDirectory(dirname(socket), socketUse);
  await checkStateRoom(stateDirectory);
  const { extentDelayMs, idleSealMs, sourceTimeoutMs } = config;
  const devices = await devicesOf(config, usable, leftOut);
  const opened = Engine.open({
    devices,
    extentDelayMs,
    idleSealMs,
    budgetBytes,
    sourceTimeoutMs,
    hedge: config.hedge === 'on',
    threads: Math.max(2, Math.min(16, availableParallelism())),
  });
  const opening = opened.then(async (engine) => {
    await noteDirectories(devices, leftOut, mounts);
    return engine;
  });
  // Whoever waits for it hears of it; until then it is nobody's.
  opening.catch(() => undefined);
  return { opening, leftOut };
}

function givenBy({ dataDirectories, slowDataDirectories, stateDirectory }: NodeConfig): Given {
  const fast = dataDirectories.map((path) => ({ path, tier: 'fast', use: dataUse }) as const);
  const slow = (slowDataDirectories ?? []).map((path) => ({ path, tier: 'slow', use: slowUse }) as const);
  return { directories: [...fast, ...slow], stateDirectory };
}

async function devicesOf(
  config: NodeConfig,
  usable: readonly string[],
  leftOut: readonly LeftOut[],
): Promise<readonly DeviceSize[]> {
  const isUsable = (path: string): boolean => usable.includes(path);
  const dataDirectories = config.dataDirectories.filter(isUsable);
  const slowDataDirectories = config.slowDataDirectories?.filter(isUsable) ?? null;
  const directories = [...(await tierDirectories({ ...config, dataDirectories, slowDataDirectories }))];
  const sized = (tier: Tier, size: Size | null): Promise<readonly DeviceSize[]> => {
    const paths = directories.flatMap(([path, of]) => (of === tier ? [path] : []));
    return sizeDevices(
      paths,
      size,
      tier,
      leftOut.filter((out) => out.tier === tier),
    );
  };
  return [...(await sized('fast', config.size)), ...(await sized('slow', config.slowSize))];
}
