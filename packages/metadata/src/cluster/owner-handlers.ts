import { withDeadline } from '@millpool/host';
import { nameOf, parentOf } from '@millpool/protocol';
import type {
  Handlers,
  ListingPart,
  NamesPart,
  OwnerAnswer,
  OwnerCopyRequest,
  OwnerMethod,
  OwnerQuestion,
  OwnerResult,
  ShardOwner,
} from '@millpool/protocol';

import { hashName } from '../name-hash.ts';
import { isInPart } from '../partition-map.ts';
import { entryOf } from '../resolved-entry.ts';
import type { LookupResult } from '../resolved-entry.ts';
import type { LocalMetadata } from '../start.ts';
import { takeListings } from './moved-listings.ts';
import type { Routing } from './routing.ts';
import { contentsOf } from './shard-contents.ts';

const lookTimeoutMs = 2_000;

type Asked = Pick<OwnerQuestion, 'shard' | 'term' | 'attachment'>;

/**
 * What other nodes ask of an owner. It answers only for shards that it owns both when it is asked and when it has the
 * answer; for the others it says who owns them.
 */
export function ownerHandlers(parts: Routing): Handlers<OwnerMethod> {
  const { node, local, heat, givers } = parts;
  return {
    'owner-lookup': async ({ from, questions }, { signal }) => {
      await catchUp(parts, questions);
      const terms = termsOf(parts, questions);
      const wanted = questions.flatMap(({ part, paths }, at) => (terms[at] === null || part !== null ? [] : paths));
      heat.lookedUp(wanted, from);
      const found = await local.lookup(wanted, signal);
      let next = 0;
      const still = node.termsOf(questions.map(({ shard }) => shard));
      const answers = questions.map((question, at): OwnerAnswer => {
        const { shard, part, paths } = question;
        if (terms[at] === null) return { moved: ownerOf(parts, shard) };
        const results =
          part === null ? found.slice(next, (next += paths.length)) : lookupPart(parts, { ...question, part }, from);
        if (still[at] !== terms[at]) return { moved: ownerOf(parts, shard) };
        if (results === null) return { repartitioned: true };
        return { results: results.map(resultOf), ageSeconds: ageOf(parts, question) };
      });
      return { answers };
    },
    'owner-list': async (request, { signal }) => {
      await catchUp(parts, [request]);
      const [term = null] = termsOf(parts, [request]);
      if (term === null) return { moved: ownerOf(parts, request.shard) };
      heat.listed(request.list.path, request.from);
      const page = await local.handlers.list(request.list, { signal });
      return node.termOf(request.shard) === term ? { page } : { moved: ownerOf(parts, request.shard) };
    },
    'owner-copy': async (request, { signal }) => {
      await catchUp(parts, [request]);
      const [term = null] = termsOf(parts, [request]);
      if (term === null) return (await copyOfCopy(parts, request, signal)) ?? { moved: ownerOf(parts, request.shard) };
      const at = isSentOn(parts, request) ? await givers.giverFor(request.path, request.from, signal) : null;
      if (at !== null) return { at };
      const part = await local.directories.copyPart(request, signal);
      givers.gave(request.path, request.from, part.next === null);
      return node.termOf(request.shard) === term ? { part } : { moved: ownerOf(parts, request.shard) };
    },
    'owner-take': async (request, { signal }) => {
      await local.refreshAttachments();
      return { taken: await takeListings(parts, request, signal) };
    },
    'owner-reads': async ({ from, directories }) => {
      for (const { path } of directories) givers.has(path, from);
      for (const answered of directories) heat.answeredElsewhere(answered);
      return {};
    },
    'owner-shards': async (_, { signal }) => ({ shards: await contentsOf(parts, signal) }),
    'owner-heat': async ({ limit }) => ({ directories: heat.hottest(limit) }),
  };
}

/** Whoever wants its first copy of a directory that is published may be sent to another node that has one. */
function isSentOn({ node, local }: Routing, request: OwnerCopyRequest): boolean {
  const { path, part, after, known, isReferred } = request;
  if (isReferred || part !== null || after !== null || known !== null) return false;
  const home = local.homeOf(path, 'listing');
  return home !== null && node.view.directory(home.directory)?.rung === 'publish';
}

/** From the copy that this node has, as its owner said it would; null where it has none that is young enough. */
async function copyOfCopy(
  { copies, local }: Routing,
  request: OwnerCopyRequest,
  signal: AbortSignal,
): Promise<{ readonly part: ListingPart } | null> {
  const { path, part, maxAgeSeconds, isReferred } = request;
  if (!isReferred || part !== null || !copies.has(path, null)) return null;
  const { seconds } = local.directories.age(path, null);
  if (seconds === null || (maxAgeSeconds !== null && seconds > maxAgeSeconds)) return null;
  return { part: await local.directories.copyPart({ ...request, maxAgeSeconds: null }, signal) };
}

/** A caller that knows more than this node is right: it looks. Where it cannot, it goes by what it knows. */
async function catchUp({ node, local, clock, log }: Routing, asked: readonly Asked[]): Promise<void> {
  const isUpToDate = (): boolean => asked.every(({ shard, term }) => term <= (node.view.ownerOf(shard)?.term ?? 0));
  const isKnown = knownIn(local);
  const lacks = asked.some(({ attachment }) => !isKnown(attachment));
  if (isUpToDate() && !lacks) return;
  const wait = { name: 'what others know of the cluster', timeoutMs: lookTimeoutMs, clock };
  await withDeadline(wait, () =>
    Promise.all([node.view.until(isUpToDate), lacks ? local.refreshAttachments() : null]),
  ).catch((error: unknown) => log.warn('another node knows more of the cluster than this one', { error }));
}

/** In the order asked; null: it may not answer. */
function termsOf({ node, local }: Routing, asked: readonly Asked[]): (number | null)[] {
  const isKnown = knownIn(local);
  const terms = node.termsOf(asked.map(({ shard }) => shard));
  return asked.map(({ attachment }, at) => (isKnown(attachment) ? (terms[at] ?? null) : null));
}

function knownIn(local: LocalMetadata): (attachment: number) => boolean {
  const ids = new Set(local.attachments().map(({ id }) => id));
  return (attachment) => ids.has(attachment);
}

/** From a copy; null where there is none, or not yet, or a name is not in that part: its no would be none. */
function lookupPart(
  { local, copies, reports }: Routing,
  { paths, part }: Pick<OwnerQuestion, 'paths'> & { readonly part: NamesPart },
  caller: string,
): LookupResult[] | null {
  const directory = parentOf(paths[0] ?? '/');
  const isOfPart = (path: string): boolean =>
    parentOf(path) === directory && isInPart(part, hashName(Buffer.from(nameOf(path))));
  if (!paths.every(isOfPart) || !copies.has(directory, part)) return null;
  reports.count(directory, paths.length, caller);
  return local.directories.lookup(paths, part);
}

/** Asked only for names that may have replicas; null where it does not matter, or is not known. */
function ageOf({ local, node }: Routing, { paths, part }: OwnerQuestion): number | null {
  const [path] = paths;
  const home = path === undefined ? null : local.homeOf(path, 'entry');
  if (path === undefined || home === null || node.view.directory(home.directory)?.rung !== 'replicate') return null;
  return local.directories.age(parentOf(path), part).seconds;
}

function ownerOf({ node }: Routing, shard: number): ShardOwner | null {
  const owned = node.view.ownerOf(shard);
  return owned === null ? null : { owner: owned.owner, term: owned.term };
}

function resultOf(result: LookupResult): OwnerResult {
  return 'error' in result ? { error: result.error } : entryOf(result);
}
