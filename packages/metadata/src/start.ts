import { randomUUID } from 'node:crypto';

import type { CoordStore } from '@millpool/coordination';
import type { Clock, Log } from '@millpool/host';
import { listLimitMax, MillpoolError, shardsMax } from '@millpool/protocol';
import type { Attachment, Entry, ErrorShape, Handlers } from '@millpool/protocol';
import type { UnderStorage } from '@millpool/under-storage';

import type { OpenUnderStorage } from './attached.ts';
import { Attachments } from './attachments.ts';
import { Directories } from './directories.ts';
import { Entries } from './entries.ts';
import type { OnListed } from './flight.ts';
import { findObjects, objectsOf } from './found-objects.ts';
import type { FoundObjects } from './found-objects.ts';
import { homeOf, resolvedIn } from './home.ts';
import type { Home } from './home.ts';
import { HotNames } from './hot-names.ts';
import type { StoreLookups } from './hot-names.ts';
import { Listings } from './listings.ts';
import { Namespace } from './namespace.ts';
import { ownerOf } from './owner.ts';
import type { Owner } from './owner.ts';
import { Partitions } from './partitions.ts';
import { ReplacedVersions } from './replaced-versions.ts';
import type { OnReplaced } from './replaced-versions.ts';
import type { LookupResult, ResolvedEntry } from './resolved-entry.ts';
import { MetadataStore } from './store/environment.ts';
import { Sweep } from './sweep.ts';
import { Turns } from './turns.ts';

export interface MetadataConfig {
  /** Holds the LMDB file; made when it is not there. What is in it can be lost: it is listed again. */
  readonly directory: string;
  /** This node's own. */
  readonly store: CoordStore;
  /** What it has in common with the other nodes of a cluster: attachments. Without it, `store` has them. */
  readonly shared?: CoordStore;
  readonly open: OpenUnderStorage;
  readonly clock: Clock;
  readonly log: Log;
  /** Of the node's metadata; a directory has at most as many partitions. The same for the life of `store`. */
  readonly shards?: number;
  /** A partition of more names is split. */
  readonly partitionNamesMax?: number;
  /** LISTs of one listing under way at the same time, at most. */
  readonly listsAtOnce?: number;
  /** Memory for names that are looked up much; none where it is left out. */
  readonly hotNamesBytes?: number;
}

export interface Metadata {
  readonly handlers: Handlers<'list' | 'check-source' | 'attach' | 'detach' | 'attachments'>;
  /** In the order asked; one failing path does not fail the others. */
  lookup(paths: readonly string[], signal: AbortSignal): Promise<LookupResult[]>;
  /** The same, as the source has them now, whatever is stored and fresh. */
  lookupAtSource(paths: readonly string[], signal: AbortSignal): Promise<LookupResult[]>;
  /** Files by their paths, as the data path asks for them. Rejects only when the signal aborts. */
  objects(paths: readonly string[], signal: AbortSignal): Promise<FoundObjects>;
  /** The same, as the source has them now. */
  objectsAtSource(paths: readonly string[], signal: AbortSignal): Promise<FoundObjects>;
  /** Who owns a path's entry, and what is stored of it; null above all attachments and beside them. */
  owner(path: string): Owner | null;
  /**
   * All files at or below a path, in the byte order of their paths; complete, or it throws. `onListed` is told how many
   * there are, as far as that is known before they are given: those listed so far, or all.
   */
  walk(path: string, signal: AbortSignal, onListed?: OnListed): AsyncIterable<readonly ResolvedEntry[]>;
  /** In the order of their paths. */
  attachments(): readonly Attachment[];
  /** Why an attachment's source cannot be reached; null when it can. `not-found` for an id that is not attached. */
  attachmentError(id: number): ErrorShape | null;
  /** Calls after each attach and detach, and when a source can be reached again. Gives what ends that. */
  watchAttachments(listener: () => void): () => void;
  /** Calls with files of which a listing had another version, or none. Gives what ends that. */
  watchReplaced(listener: OnReplaced): () => void;
  /** The opened source; rejects with why it cannot be reached. */
  underStorage(id: number): Promise<UnderStorage>;
  stop(): Promise<void>;
}

/** A node's own part of the metadata: it answers for every path, whoever owns it, from what it listed itself. */
export interface LocalMetadata extends Metadata {
  /** Of a path's entry, or of the listing of the directory that it is; null above all attachments and beside them. */
  homeOf(path: string, of: 'entry' | 'listing'): Home | null;
  /** Entries as another node gave them, with where their bytes are; null where the attachment is not known here. */
  resolved(entries: readonly Entry[]): (ResolvedEntry | null)[];
  readonly directories: Directories;
  /** Knows all that was attached or detached before the call. */
  refreshAttachments(): Promise<void>;
}

export const shardsDefault = 1_024;
const partitionNamesMaxDefault = 32_768;
const listsAtOnceDefault = 16;
const nameKey = 'coordination-name';

/** The namespace of one node over its coordination store. Attachments made earlier come back, reachable or not. */
export async function startMetadata(config: MetadataConfig): Promise<LocalMetadata> {
  const { directory, store: coordination, shared = coordination, open, clock, log } = config;
  const shards = config.shards ?? shardsDefault;
  if (!Number.isSafeInteger(shards) || shards < 1 || shards > shardsMax) throw badShards(shards);
  const store = await MetadataStore.open({ directory, coordination: await namesOf(coordination, shared), log });
  const namesMax = config.partitionNamesMax ?? partitionNamesMaxDefault;
  const partitions = await Partitions.open({ store, coordination, shards, namesMax });
  const attachments = await Attachments.open({ coordination: shared, open, clock, log });
  const entries = new Entries(store, partitions);
  const nowMs = steadyTime(clock);
  const listsAtOnce = config.listsAtOnce ?? listsAtOnceDefault;
  const turns = new Turns(clock);
  const replaced = new ReplacedVersions();
  const names = new HotNames({ store, partitions, entries, turns, nowMs, bytesMax: config.hotNamesBytes ?? 0 });
  const shelf = { store, partitions, entries, replaced };
  const listings = new Listings({ shelf, names, shards, nowMs, log, listsAtOnce, turns });
  const namespace = new Namespace({ attachments, listings, entries, shards, nowMs, turns });
  const lookedUp = (lookups: StoreLookups): void => names.lookedUp(lookups);
  const sweep = new Sweep(store, partitions);
  const sweepSoon = (): void => {
    const ids = () => attachments.current().map(({ attachment }) => attachment.id);
    void sweep.start(listings.settled(), ids, (error) => log.error('what was detached could not be swept', { error }));
  };
  sweepSoon();
  const unwatch = attachments.watch(() => {
    names.clear();
    sweepSoon();
  });

  return {
    handlers: {
      list: async (request, { signal }) => namespace.list(checkedLimit(request), signal),
      'check-source': async (request, { signal }) => namespace.checkSource(request, signal),
      attach: async (request) => attachments.attach(request),
      detach: async ({ path }) => ({ path: (await attachments.detach(path)).path }),
      attachments: async () => ({ attachments: attachments.current().map(({ attachment }) => attachment) }),
    },
    lookup: (paths, signal) => namespace.lookup(paths, signal),
    lookupAtSource: (paths, signal) => namespace.lookupAtSource(paths, signal),
    objects: (paths, signal) => findObjects(paths, names, (left) => namespace.lookup(left, signal, lookedUp)),
    objectsAtSource: async (paths, signal) => objectsOf(await namespace.lookupAtSource(paths, signal)),
    owner: (path) => ownerOf({ attachments, listings, entries, partitions, shards, nowMs }, path),
    walk: (path, signal, onListed) => namespace.walk(path, signal, onListed),
    attachments: () => attachments.current().map(({ attachment }) => attachment),
    attachmentError: (id) => attachments.byId(id).error,
    watchAttachments: (listener) => attachments.watch(listener),
    watchReplaced: (listener) => replaced.watch(listener),
    underStorage: async (id) => attachments.byId(id).storage(),
    homeOf: (path, of) => homeOf(attachments, { path, of }, shards),
    resolved: (found) => resolvedIn(attachments, found, shards),
    directories: new Directories({ attachments, listings, entries, shards, nowMs, turns }),
    refreshAttachments: () => attachments.refresh(),
    stop: async () => {
      unwatch();
      await attachments.stop();
      await listings.settled();
      await names.stop();
      await sweep.stop();
      await store.close();
    },
  };
}

/**
 * The wall clock as of now, going on without its jumps: ages of listings are kept over a restart and never shrink
 * within one.
 */
function steadyTime(clock: Clock): () => number {
  const offsetMs = clock.nowMs() - clock.monotonicMs();
  return () => offsetMs + clock.monotonicMs();
}

/** Partitions are of the one, ids of attachments of the other. */
async function namesOf(own: CoordStore, shared: CoordStore): Promise<string> {
  const name = await nameOf(own);
  return own === shared ? name : `${name} in ${await nameOf(shared)}`;
}

/** What tells this coordination store from another; given once. */
async function nameOf(coordination: CoordStore): Promise<string> {
  const value = Buffer.from(randomUUID());
  await coordination.txn({
    compare: [{ kind: 'exists', key: nameKey, exists: false }],
    then: [{ kind: 'put', key: nameKey, value }],
    otherwise: [],
  });
  const kept = await coordination.get(nameKey);
  return Buffer.from(kept?.value ?? value).toString();
}

function checkedLimit<T extends { readonly limit: number }>(request: T): T {
  if (Number.isSafeInteger(request.limit) && request.limit >= 1 && request.limit <= listLimitMax) return request;
  throw new MillpoolError({
    code: 'invalid',
    message: `a listing of ${request.limit} entries was asked for`,
    remedy: `Ask for 1 to ${listLimitMax} at once.`,
  });
}

function badShards(shards: number): MillpoolError {
  return new MillpoolError({
    code: 'invalid',
    message: `${shards} metadata shards cannot be`,
    remedy: `Take a whole number from 1 to ${shardsMax}.`,
  });
}
