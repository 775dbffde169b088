import { unlessAborted } from '@millpool/host';
import { packObjects } from '@millpool/native';
import type { Engine } from '@millpool/native';
import type { Metadata, ResolvedEntry } from '@millpool/metadata';
import { MillpoolError } from '@millpool/protocol';
import type {
  CheckReply,
  ErrorShape,
  Handlers,
  NodeMethod,
  ResolveReply,
  ResolveRequest,
  StatResult,
} from '@millpool/protocol';

import { activityOf } from './activity.ts';
import type { AttachedSources } from './attached-sources.ts';
import type { CallRoom } from './call-room.ts';
import type { Datasets } from './datasets.ts';
import type { Eviction } from './eviction.ts';
import type { Holders } from './holders.ts';
import type { LeftOut } from './left-out.ts';
import type { LoadJobs } from './load-jobs.ts';
import type { Pins } from './pins.ts';
import type { Plans } from './plans.ts';
import type { Readers } from './readers.ts';
import type { ReadTally } from './read-tally.ts';
import type { SampleHints } from './sample-hints.ts';
import { statusOf } from './status.ts';
import type { Tiering } from './tiering.ts';
import { whyOf } from './why.ts';

export interface DaemonParts {
  readonly engine: Engine;
  readonly metadata: Metadata;
  readonly sources: AttachedSources;
  readonly datasets: Datasets;
  readonly plans: Plans;
  readonly hints: SampleHints;
  readonly jobs: LoadJobs;
  readonly tally: ReadTally;
  readonly eviction: Eviction;
  readonly tiering: Tiering;
  readonly readers: Readers;
  readonly holders: Holders;
  readonly pins: Pins;
  /** For calls that answer soon, and for walks over a subtree, which may take long: neither waits for the other. */
  readonly calls: CallRoom;
  readonly walks: CallRoom;
  readonly onShutdown: () => void;
  readonly version: string;
  readonly budgetBytes: number;
  readonly leftOut: readonly LeftOut[];
}

/** What one entry of an answer takes of the heap, with its name and its part of the message. */
const entryBytes = 1024;
/** Of a walk over a subtree: its pages, and those of the listing that it may wait for. */
const walkBytes = 1024 ** 2;

/** Everything that can be asked of a daemon, for one connection: plans are that connection's own. */
export function daemonHandlers(parts: DaemonParts, connection: number): Handlers<NodeMethod> {
  const { metadata, datasets, plans, hints, jobs, pins, calls, walks } = parts;
  return {
    ...listHandlers(parts),
    attachments: (request, context) => metadata.handlers.attachments(request, context),
    stat: ({ paths }, { signal }) =>
      calls.run(paths.length * entryBytes, signal, (inTurn) => stat(parts, paths, inTurn)),
    resolve: (request, { signal }) =>
      calls.run(request.paths.length * entryBytes, signal, (inTurn) => resolve(parts, request, inTurn)),

    attach: async (request, context) => {
      const attachment = await metadata.handlers.attach(request, context);
      try {
        await parts.sources.add(attachment);
      } catch (error) {
        await metadata.handlers.detach({ path: attachment.path }, context);
        throw error;
      }
      return attachment;
    },
    detach: async (request, context) => {
      const found = metadata.attachments().find((attachment) => attachment.path === request.path);
      if (found !== undefined) pins.checkFree(request.path);
      const detached = await metadata.handlers.detach(request, context);
      if (found !== undefined) await parts.sources.remove(found.id);
      return detached;
    },

    dataset: (request, { signal }) =>
      request.version === null
        ? walks.run(walkBytes, signal, (inTurn) => datasets.snapshot(request, inTurn))
        : datasets.snapshot(request, signal),
    'dataset-making': async () => ({ snapshots: datasets.making }),
    'dataset-free': ({ version }) => datasets.free(version),
    'plan-open': async (request) => ({ plan: plans.open(connection, request) }),
    'plan-progress': async ({ plan }) => plans.progress(connection, plan),
    'plan-report': async (request) => {
      plans.report(connection, request);
      return {};
    },
    'plan-close': async ({ plan }) => plans.close(connection, plan),
    prefetch: async (request) => ({ accepted: hints.take(connection, request) }),

    load: async (request, { signal }) => {
      await known(parts, request.path, signal);
      return { job: await jobs.start(request) };
    },
    job: ({ job, waitSeconds }, { signal }) => jobs.wait(job, waitSeconds, signal),
    jobs: async () => ({ jobs: jobs.list() }),
    'job-cancel': ({ job }) => jobs.cancel(job),
    check: ({ paths }, { signal }) =>
      calls.run(paths.length * entryBytes, signal, (inTurn) => check(parts, paths, inTurn)),
    free: ({ path }, { signal }) => walks.run(walkBytes, signal, (inTurn) => free(parts, path, inTurn)),
    why: ({ path }, { signal }) => whyOf(parts, path, signal),
    ...pinHandlers(pins),

    status: async () => statusOf(parts),
    activity: () => activityOf(parts),
    shutdown: async () => {
      setImmediate(parts.onShutdown);
      return { pid: process.pid };
    },
  };
}

/** Those that answer with pages, whose length the caller says. */
function listHandlers({
  metadata,
  datasets,
  jobs,
  calls,
}: DaemonParts): Handlers<'list' | 'dataset-list' | 'dataset-diff' | 'job-failures' | 'check-source'> {
  return {
    list: (request, { signal }) =>
      calls.run(request.limit * entryBytes, signal, (inTurn) => metadata.handlers.list(request, { signal: inTurn })),
    'dataset-list': (request, { signal }) =>
      calls.run(request.limit * entryBytes, signal, () => datasets.list(request)),
    'dataset-diff': (request, { signal }) =>
      calls.run(request.limit * entryBytes, signal, () => datasets.diff(request)),
    'job-failures': ({ job, skip, limit }, { signal }) =>
      calls.run(limit * entryBytes, signal, async () => ({ failures: await jobs.failures(job, skip, limit) })),
    'check-source': (request, { signal }) =>
      calls.run(walkBytes, signal, (inTurn) => metadata.handlers['check-source'](request, { signal: inTurn })),
  };
}

function pinHandlers(pins: Pins): Handlers<'pin' | 'unpin' | 'pins'> {
  return {
    pin: ({ path }, { signal }) => pins.pin(path, signal),
    unpin: async ({ path }, { signal }) => {
      await pins.unpin(path, signal);
      return { path };
    },
    pins: async () => ({ pins: pins.list() }),
  };
}

async function stat(
  { engine, metadata, pins }: DaemonParts,
  paths: readonly string[],
  signal: AbortSignal,
): Promise<{ results: readonly StatResult[] }> {
  const found = await metadata.lookup(paths, signal);
  const files = found.filter(isFile);
  const resident = engine.residency(packObjects(files));
  let next = 0;
  const results = found.map((result): StatResult => {
    if ('error' in result) return result;
    const { path, type, size, mtimeMs, tag } = result;
    const cachedBytes = type === 'file' ? (resident[next++] ?? 0) : 0;
    return { path, type, size, mtimeMs, tag, cachedBytes, pinnedBy: pins.covering(path) };
  });
  return { results };
}

async function resolve(
  { metadata, tally }: DaemonParts,
  { paths, atSource }: ResolveRequest,
  signal: AbortSignal,
): Promise<ResolveReply> {
  const found = await (atSource ? metadata.objectsAtSource(paths, signal) : metadata.objects(paths, signal));
  for (const attachment of found.weak) tally.sawWeak(attachment);
  return { objects: found.objects, failures: found.failures };
}

/** Files that went away meanwhile have nothing to be checked. */
async function check(
  { engine, metadata }: DaemonParts,
  paths: readonly string[],
  signal: AbortSignal,
): Promise<CheckReply> {
  const files = (await metadata.lookup(paths, signal)).filter(isFile);
  const { records, bytes, corrupt } = await unlessAborted(signal, engine.verify(packObjects(files)));
  return { records, bytes, damaged: corrupt.flatMap((index) => files[index]?.path ?? []) };
}

async function free(
  { engine, metadata, pins }: DaemonParts,
  path: string,
  signal: AbortSignal,
): Promise<{ records: number; bytes: number }> {
  pins.checkFree(path);
  let records = 0;
  let bytes = 0;
  for await (const page of metadata.walk(path, signal)) {
    const freed = await engine.forget(packObjects(page.filter(isFile)));
    records += freed.records;
    bytes += freed.bytes;
  }
  return { records, bytes };
}

/** Throws `not-found`, so that a job for a path that is not there never starts. */
async function known({ metadata }: DaemonParts, path: string, signal: AbortSignal): Promise<void> {
  const [found] = await metadata.lookup([path], signal);
  if (found !== undefined && 'error' in found) throw new MillpoolError(found.error);
}

function isFile(result: ResolvedEntry | { readonly error: ErrorShape }): result is ResolvedEntry {
  return !('error' in result) && result.type === 'file';
}
