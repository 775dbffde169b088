import { dirname } from 'node:path';

import { Shutdown, systemClock } from '@millpool/host';
import type { Config, Log } from '@millpool/host';
import type { LookupResult } from '@millpool/metadata';
import type { Request, StatResult } from '@millpool/protocol';
import { listenTransport } from '@millpool/transport';

import { openState } from './node-state.ts';
import type { StateConfig } from './node-state.ts';
import { checkStateRoom, ownDirectory } from './own-directory.ts';
import type { Daemon } from './run-daemon.ts';
import { controlSocketOf } from './sockets.ts';

export type MetadataNodeConfig = StateConfig & Pick<Config, 'socket' | 'stopTimeoutMs'>;

const stateUse = { what: 'The state directory', setting: '--state or MILLPOOL_STATE_DIRECTORY', mode: 0o700 };
const socketUse = { what: 'The directory of the socket', setting: '--socket or MILLPOOL_SOCKET', mode: 0o777 };

/** A node that owns shards of a cluster's metadata, and answers an operator on its control socket. */
export async function startMetadataNode(config: MetadataNodeConfig, log: Log, onShutdown: () => void): Promise<Daemon> {
  const parts = new Shutdown({ clock: systemClock, log, partTimeoutMs: config.stopTimeoutMs });
  try {
    await ownDirectory(config.stateDirectory, stateUse);
    await ownDirectory(dirname(config.socket), socketUse);
    await checkStateRoom(config.stateDirectory);
    const { metadata, member, clusterHandlers } = await openState(config, log, parts);
    const handlers = {
      ...metadata.handlers,
      ...clusterHandlers,
      stat: async ({ paths }: Request<'stat'>, { signal }: { readonly signal: AbortSignal }) => {
        const found = await metadata.lookup(paths, signal);
        return { results: found.map(asStat) };
      },
      shutdown: async () => {
        setImmediate(onShutdown);
        return { pid: process.pid };
      },
    };
    const control = await listenTransport(controlSocketOf(config.socket), handlers);
    parts.onClose('the control socket', () => control.close());
    return { member, stop: () => parts.close() };
  } catch (error) {
    await parts.close();
    throw error;
  }
}

/** It keeps no bytes, and no pins. */
function asStat(found: LookupResult): StatResult {
  if ('error' in found) return found;
  const { path, type, size, mtimeMs, tag } = found;
  return { path, type, size, mtimeMs, tag, cachedBytes: 0, pinnedBy: null };
}
