import { join } from 'node:path';

import type { CoordStore } from '@millpool/coordination';
import type { Clock, Log } from '@millpool/host';
import type { Metadata } from '@millpool/metadata';
import type { Engine } from '@millpool/native';
import type { Handlers, NodeMethod } from '@millpool/protocol';
import { dispatch } from '@millpool/transport';
import type { Turns } from '@millpool/transport';

import { AttachedSources } from './attached-sources.ts';
import { CallRoom } from './call-room.ts';
import type { HeapLimit } from './call-room.ts';
import { Datasets } from './datasets.ts';
import { Eviction } from './eviction.ts';
import { daemonHandlers } from './handlers.ts';
import { Holders } from './holders.ts';
import type { LeftOut } from './left-out.ts';
import { LoadJobs } from './load-jobs.ts';
import { Pins } from './pins.ts';
import { Plans } from './plans.ts';
import { Readers } from './readers.ts';
import { ReadTally } from './read-tally.ts';
import { Replaced } from './replaced.ts';
import { SampleHints } from './sample-hints.ts';
import { SegmentWorths } from './segment-worths.ts';
import { Tenants } from './tenants.ts';
import { Tiering } from './tiering.ts';

export interface CacheConfig {
  /** For what is neither segment nor metadata: dataset versions, and what loads could not bring. */
  readonly stateDirectory: string;
  /** Where SDKs connect. */
  readonly socket: string;
  readonly socketMode: number;
  readonly budgetBytes: number;
  /** Of them, what the engine has for buffers and its key table. */
  readonly engineBytes: number;
  /** Of the heap, what calls under way may take together, with their requests. */
  readonly callBytes: number;
  readonly version: string;
  /** How often credentials without an end are asked for again. */
  readonly credentialsRefreshMs: number;
  /** What nobody has read for so long may go from a full cache. */
  readonly keepUnreadMs: number;
  /** Of what is fetched, what may be written to win back room. */
  readonly copyShare: number;
  readonly leftOut: readonly LeftOut[];
}

export interface CacheParts {
  /** Opened, not serving yet; closed by `stop`. */
  readonly engine: Engine;
  readonly metadata: Metadata;
  readonly coordination: CoordStore;
  readonly clock: Clock;
  readonly log: Log;
  readonly heap: HeapLimit;
  /** Called when somebody asks the daemon to stop. */
  readonly onShutdown: () => void;
}

export interface CacheDaemon {
  /** The same handlers answer SDKs over flow and the CLI over ws. */
  readonly handlers: Handlers<NodeMethod>;
  /** Of calls with large bodies, over either road. */
  readonly turns: Turns;
  stop(): Promise<void>;
}

/** Starts the cache daemon of a node: segments, sources, and the socket that SDKs read through. */
export async function startCache(config: CacheConfig, parts: CacheParts): Promise<CacheDaemon> {
  const { engine, metadata, clock, log, onShutdown } = parts;
  const datasetDirectory = join(config.stateDirectory, 'datasets');
  const datasets = await Datasets.at(datasetDirectory, metadata, clock);
  const sources = await AttachedSources.start({ engine, metadata, clock, log, refreshMs: config.credentialsRefreshMs });
  const plans = new Plans(datasets, { engine, clock, engineBytes: config.engineBytes });
  const hints = new SampleHints({ datasets, engine, ahead: plans.ahead, number: () => plans.takeNumber() });
  const tally = new ReadTally();
  const readers = new Readers();
  const pins = await Pins.open({ coordination: parts.coordination, engine, metadata, clock, log });
  const tenants = new Tenants({ engine, metadata, plans, clock });
  const holders = new Holders(engine, clock);
  const { keepUnreadMs: idleMs, copyShare } = config;
  const replaced = new Replaced({ engine, metadata, plans, log });
  const worths = new SegmentWorths({ engine, plans });
  const tiering = new Tiering({ engine, plans, worths, clock, log });
  const looks = { tenants, pins, plans, worths, tiering, holders, replaced };
  const eviction = new Eviction({ engine, ...looks, clock, log, idleMs, copyShare });
  const directory = join(config.stateDirectory, 'loads');
  const jobs = await LoadJobs.open({ ...parts, eviction, tiering, directory });
  const { version, budgetBytes, leftOut } = config;
  const { bodies, ...rooms } = roomsOf(config.callBytes, parts);
  const told = { onShutdown, version, budgetBytes, leftOut };
  const sides = { eviction, tiering, holders, pins, ...rooms };
  const parted = { engine, metadata, sources, datasets, plans, hints, jobs, tally, readers, ...sides, ...told };

  const serving = engine.serve({
    socket: config.socket,
    mode: config.socketMode,
    datasets: datasetDirectory,
    handlers: {
      control: (body, { connection, pid, signal }) => {
        readers.saw(connection, pid);
        return dispatch(daemonHandlers(parted, connection), body, signal, bodies);
      },
      receipts: (receipts) => {
        tally.receipts(receipts);
        readers.receipts(receipts);
        plans.receipts(receipts);
      },
      closed: (connection) => {
        for (const own of [plans, hints, readers]) own.closeConnection(connection);
      },
    },
  });
  await serving.catch(async (error: unknown) => {
    await eviction.stop();
    await tiering.stop();
    await pins.stop();
    await sources.stop();
    throw error;
  });
  jobs.resume();
  return {
    handlers: daemonHandlers(parted, 0),
    turns: bodies,
    async stop() {
      plans.stop();
      hints.stop();
      replaced.stop();
      await eviction.stop();
      await jobs.stop();
      await tiering.stop();
      await pins.stop();
      await sources.stop();
      for (const notice of await engine.close()) log.warn('not saved in a data directory', { notice });
    },
  };
}

function roomsOf(
  callBytes: number,
  { engine, clock, heap }: CacheParts,
): { readonly calls: CallRoom; readonly walks: CallRoom; readonly bodies: CallRoom } {
  const roomOf = (bytes: number, unsentBytes: () => number): CallRoom =>
    new CallRoom({ bytes, clock, heap, unsentBytes });
  return {
    calls: roomOf(callBytes / 2, () => engine.unsentBytes()),
    walks: roomOf(callBytes / 4, () => 0),
    // What is decoded of them is two or three times as large.
    bodies: roomOf(callBytes / 8, () => 0),
  };
}
