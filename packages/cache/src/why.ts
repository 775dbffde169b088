import { hostname } from 'node:os';

import { systemClock, withDeadline } from '@millpool/host';
import { identityHash, packObjects } from '@millpool/native';
import type { Engine, SourceTally } from '@millpool/native';
import type { LookupResult, Metadata, Owner, ResolvedEntry } from '@millpool/metadata';
import { asMillpoolError, errorCodeOf, MillpoolError } from '@millpool/protocol';
import type { ErrorShape, WhyReply, WhyResidency, WhySource } from '@millpool/protocol';

import type { AttachedSources } from './attached-sources.ts';
import { hedgesOf } from './status.ts';
import { whyMissing, whyPlaces, whyResidency } from './why-records.ts';
import { verdictOf } from './why-verdict.ts';

export interface WhyParts {
  readonly engine: Engine;
  readonly metadata: Metadata;
  readonly sources: AttachedSources;
}

/** A source that does not answer within this is told as one that does not. */
const askSourceMs = 5_000;
const recordBytesMax = 4 * 1024 ** 2;

/** Where a path's bytes are, who owns its entry, why it is cached or not, and what a read would cost. */
export async function whyOf(parts: WhyParts, path: string, signal: AbortSignal): Promise<WhyReply> {
  const { engine, metadata } = parts;
  const owner = metadata.owner(path);
  if (owner === null) return aboveAttachments(await lookedUp(metadata, path, signal));
  const atSource = await askedNow(metadata, path, signal);
  const away = parts.sources.errorOf(owner.attachment.id) ?? owner.sourceError;
  const { entry, now } = judged({ path, owner, isAway: away !== null }, atSource);
  const nowSeconds = systemClock.nowMs() / 1000;
  const tally = engine.sourceTally(owner.attachment.id);
  const error = away ?? failureOf(atSource);
  const source: WhySource = { now, error, ...tallied(tally, nowSeconds) };
  const facts = entry.type === 'file' ? await engine.facts(packObjects([entry])) : { records: [], fatesComplete: true };
  const { policy } = owner.attachment;
  const missing = whyMissing(facts, { policy, nowSeconds });
  const residency = whyResidency(facts);
  const { sourceBytes, gets } = missing.reduce(
    (sum, { bytes, records }) => ({ sourceBytes: sum.sourceBytes + bytes, gets: sum.gets + records }),
    { sourceBytes: 0, gets: 0 },
  );
  const hasRoom = engine.room(identityHash(owner.attachment.identity)) >= Math.min(sourceBytes, recordBytesMax);
  const { tableFull } = engine.counters();
  const from = entry === owner.stored ? 'listing' : 'source';
  const { attachment } = owner;
  const reply = {
    path,
    type: entry.type,
    attachment: {
      path: attachment.path,
      source: attachment.source,
      policy,
      freshness: attachment.freshness,
    },
    owner: ownerPart(owner),
    entry: { sizeBytes: entry.size, mtimeMs: entry.mtimeMs, tag: entry.tag, from },
    source,
    residency,
    places: whyPlaces(facts, engine.devices()),
    missing,
    cost: {
      pageCacheBytes: residency.pageCacheBytes,
      deviceBytes: residency.storedBytes - residency.pageCacheBytes,
      gets,
      sourceBytes,
      kept: policy === 'stream' ? 'policy' : tableFull ? 'table-full' : hasRoom ? 'yes' : 'full',
      error: gets > 0 ? error : null,
    },
  } as const;
  return { ...reply, ...verdictOf(reply) };
}

async function lookedUp(metadata: Metadata, path: string, signal: AbortSignal): Promise<ResolvedEntry> {
  const [found] = await metadata.lookup([path], signal);
  if (found === undefined || 'error' in found) throw new MillpoolError(found?.error ?? notFound(path));
  return found;
}

/** The path as its source has it now, in bounded time. */
async function askedNow(metadata: Metadata, path: string, signal: AbortSignal): Promise<LookupResult> {
  const wait = { name: `the source of ${path}`, timeoutMs: askSourceMs, clock: systemClock, signal };
  try {
    const [found] = await withDeadline(wait, (late) => metadata.lookupAtSource([path], late));
    return found ?? { error: notFound(path) };
  } catch (error) {
    signal.throwIfAborted();
    return { error: asMillpoolError(error).shape };
  }
}

/** The entry that a read by the path would use, and how the source's own compares with what was listed. */
function judged(
  asked: { readonly path: string; readonly owner: Owner; readonly isAway: boolean },
  atSource: LookupResult,
): { readonly entry: ResolvedEntry; readonly now: WhySource['now'] } {
  const { path, owner, isAway } = asked;
  const { stored, listingFresh } = owner;
  if ('error' in atSource) {
    // A source that is not there at all says nothing of its files.
    const isGone = atSource.error.code === 'not-found' && !isAway;
    if (stored === null || (isGone && !listingFresh)) throw new MillpoolError({ path, ...atSource.error });
    return { entry: stored, now: isGone ? 'gone' : 'unknown' };
  }
  if (stored === null) return { entry: atSource, now: 'same' };
  const isSame = stored.tag === atSource.tag && stored.size === atSource.size && stored.type === atSource.type;
  return { entry: listingFresh ? stored : atSource, now: isSame ? 'same' : 'changed' };
}

function failureOf(atSource: LookupResult): ErrorShape | null {
  return 'error' in atSource && atSource.error.code !== 'not-found' ? atSource.error : null;
}

function tallied(tally: SourceTally, nowSeconds: number): Omit<WhySource, 'now' | 'error'> {
  const { fetches, errors, seconds, lastError } = tally;
  return {
    fetches,
    errors,
    hedges: hedgesOf(tally),
    meanFetchSeconds: fetches === 0 ? null : seconds / fetches,
    lastError:
      lastError === undefined
        ? null
        : {
            code: errorCodeOf(lastError.code),
            message: lastError.message,
            remedy: '',
            secondsAgo: Math.max(0, nowSeconds - lastError.atSeconds),
          },
  };
}

function ownerPart(owner: Owner): WhyReply['owner'] {
  const { directory, shard, partition, partitions, listing, listingAgeSeconds, listingFresh } = owner;
  const node = owner.node ?? hostname();
  return { node, directory, shard, partition, partitions, listing, listingAgeSeconds, listingFresh };
}

const nothing: WhyResidency = {
  records: 0,
  residentRecords: 0,
  residentBytes: 0,
  storedBytes: 0,
  pageCacheBytes: 0,
  verifiedRecords: 0,
};

/** A directory that only leads to attachments. */
function aboveAttachments({ path, size, mtimeMs, tag }: ResolvedEntry): WhyReply {
  return {
    path,
    type: 'directory',
    reason: 'directory',
    sentence: `${path} only leads to attachments.`,
    remedy: 'See `millpool attachments`.',
    attachment: null,
    owner: null,
    entry: { sizeBytes: size, mtimeMs, tag, from: 'listing' },
    source: null,
    residency: nothing,
    places: [],
    missing: [],
    cost: { pageCacheBytes: 0, deviceBytes: 0, gets: 0, sourceBytes: 0, kept: 'yes', error: null },
  };
}

function notFound(path: string): ErrorShape {
  return { code: 'not-found', message: `There is no ${path}.`, remedy: 'Look with `millpool ls`.', path };
}
