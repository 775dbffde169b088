import type { Log } from '@millpool/host';
import { asMillpoolError } from '@millpool/protocol';
import type { ErrorCode, ListReply, ListRequest, OwnerAnswer, OwnerQuestion, ShardOwner } from '@millpool/protocol';

import type { HeatCounter } from '../heat/heat-counter.ts';
import type { Home } from '../home.ts';
import type { Owner } from '../owner.ts';
import type { LookupResult } from '../resolved-entry.ts';
import type { LocalMetadata, Metadata } from '../start.ts';
import type { ClusterNode } from './cluster-node.ts';
import { offerListings } from './moved-listings.ts';
import { OwnerCopies } from './owner-copies.ts';
import { Owners, redirectsMax } from './owners.ts';
import type { Peers } from './peers.ts';

interface Parts {
  readonly node: ClusterNode;
  readonly local: LocalMetadata;
  readonly peers: Peers;
  readonly heat: HeatCounter;
  readonly log: Log;
}

/** Paths of one question, by their places in the request. */
interface Group extends Omit<OwnerQuestion, 'term' | 'paths'> {
  readonly places: number[];
}

/** A request, and what is known of it so far, by place. */
interface Asked {
  readonly paths: readonly string[];
  readonly results: (LookupResult | null)[];
}

interface OwnedGroup extends Group {
  readonly owner: ShardOwner;
}

const lookupTimeoutSeconds = 2;
/** Of a page for which the owner may have to list first; the caller has a deadline of its own. */
const listTimeoutSeconds = 600;
/** What the owner could not do, this node may: reach the source, or answer at all. */
const otherwiseHere: ReadonlySet<ErrorCode> = new Set([
  ...(['unreachable', 'timeout', 'closed', 'cancelled', 'unsupported', 'internal'] as const),
  ...(['source-unavailable', 'source-broken', 'refused', 'full', 'io', 'corrupt'] as const),
]);

/**
 * The namespace of a cluster: look-ups and listings are asked of the owners of their shards, so that one node lists a
 * directory for all. Where an owner cannot be asked, this node asks the source, as one alone does: an answer is late
 * then, never wrong.
 */
export function routedMetadata(parts: Parts): Metadata {
  const { local, node } = parts;
  const owners = new Owners(node);
  local.copyFrom(new OwnerCopies({ ...parts, owners }));
  node.beforeMoves(offerListings(parts));
  const router = new Router({ ...parts, owners });
  return {
    ...local,
    handlers: { ...local.handlers, list: (request, { signal }) => router.list(request, signal) },
    lookup: (paths, signal) => router.lookup(paths, signal),
    owner: (path) => router.owner(path),
  };
}

class Router {
  readonly #parts: Parts;
  readonly #owners: Owners;

  constructor(parts: Parts & { readonly owners: Owners }) {
    this.#parts = parts;
    this.#owners = parts.owners;
  }

  async lookup(paths: readonly string[], signal: AbortSignal): Promise<LookupResult[]> {
    const asked: Asked = { paths, results: paths.map(() => null) };
    const all = this.#grouped(paths);
    const groups = all.filter(({ shard }) => this.#owners.otherOf(shard) !== null);
    this.#count(all, asked);
    const elsewhere = new Set(groups.flatMap(({ places }) => places));
    const own = [...paths.keys()].filter((place) => !elsewhere.has(place));
    await Promise.all([this.#askOwners(groups, asked, signal), this.#lookHere(own, asked, signal)]);
    const left = [...elsewhere].filter((place) => asked.results[place] === null);
    await this.#lookHere(left, asked, signal);
    return asked.results as LookupResult[];
  }

  /** Of what this node owns; other owners count for themselves. */
  #count(groups: readonly Group[], { paths }: Asked): void {
    const { node, heat } = this.#parts;
    for (const { shard, places } of groups) {
      if (node.termOf(shard) === null) continue;
      heat.lookedUp(
        places.map((place) => paths[place] as string),
        node.id,
      );
    }
  }

  owner(path: string): Owner | null {
    const { local } = this.#parts;
    const owner = local.owner(path);
    return owner === null ? null : { ...owner, node: this.#owners.otherOf(owner.shard)?.owner ?? null };
  }

  async list(request: ListRequest, signal: AbortSignal): Promise<ListReply> {
    const { local, node, heat } = this.#parts;
    const home = local.homeOf(request.path, 'listing');
    if (home !== null && node.termOf(home.shard) !== null) heat.listed(request.path, node.id);
    const page = home === null ? null : await this.#pageOf(home, request, signal);
    return page ?? local.handlers.list(request, { signal });
  }

  /** Null: no owner gives it. */
  async #pageOf(home: Home, request: ListRequest, signal: AbortSignal): Promise<ListReply | null> {
    const { peers, node, log } = this.#parts;
    for (let redirects = 0; redirects <= redirectsMax; redirects += 1) {
      const owner = this.#owners.otherOf(home.shard);
      if (owner === null) return null;
      const question = { ...home, from: node.id, term: owner.term, list: request };
      const call = { method: 'owner-list', request: question } as const;
      try {
        const reply = await peers.call(owner.owner, call, { signal, timeoutSeconds: listTimeoutSeconds });
        if ('page' in reply) return reply.page;
        if (!this.#owners.learn(home.shard, reply.moved)) return null;
      } catch (thrown) {
        const error = asMillpoolError(thrown);
        if (signal.aborted || !otherwiseHere.has(error.code)) throw error;
        log.debug('a directory is listed here, not by its owner', { path: request.path, owner: owner.owner, error });
        return null;
      }
    }
    return null;
  }

  /** Those that somebody else owns. */
  #grouped(paths: readonly string[]): Group[] {
    const groups = new Map<string, Group>();
    const ofDirectory = new Map<string, Group | null>();
    paths.forEach((path, place) => {
      const directory = path.slice(0, path.lastIndexOf('/'));
      let group = ofDirectory.get(directory);
      if (group === undefined) {
        group = this.#groupOf(path, groups);
        ofDirectory.set(directory, group);
      }
      group?.places.push(place);
    });
    return [...groups.values()].filter(({ places }) => places.length > 0);
  }

  #groupOf(path: string, groups: Map<string, Group>): Group | null {
    const home = this.#parts.local.homeOf(path, 'entry');
    if (home === null) return null;
    const key = `${home.attachment}/${home.shard}`;
    const group = groups.get(key) ?? { ...home, places: [] };
    groups.set(key, group);
    return group;
  }

  async #askOwners(groups: readonly Group[], asked: Asked, signal: AbortSignal): Promise<void> {
    let left = groups;
    for (let redirects = 0; left.length > 0 && redirects <= redirectsMax; redirects += 1) {
      const asking = [...this.#byOwner(left)].map(([owner, of]) => this.#ask(owner, { of, ...asked }, signal));
      left = (await Promise.all(asking)).flat();
    }
  }

  async #lookHere(places: readonly number[], { paths, results }: Asked, signal: AbortSignal): Promise<void> {
    if (places.length === 0) return;
    const wanted = places.map((place) => paths[place] as string);
    const found = await this.#parts.local.lookup(wanted, signal);
    places.forEach((place, at) => (results[place] = found[at] as LookupResult));
  }

  #byOwner(groups: readonly Group[]): Map<string, OwnedGroup[]> {
    const byOwner = new Map<string, OwnedGroup[]>();
    for (const group of groups) {
      const owner = this.#owners.otherOf(group.shard);
      if (owner === null) continue;
      const same = byOwner.get(owner.owner) ?? [];
      same.push({ ...group, owner });
      byOwner.set(owner.owner, same);
    }
    return byOwner;
  }

  /** Fills in what the owner knows; gives the groups that another one owns. */
  async #ask(id: string, asked: Asked & { readonly of: readonly OwnedGroup[] }, signal: AbortSignal): Promise<Group[]> {
    const { peers, node, log } = this.#parts;
    const questions = asked.of.map(({ shard, attachment, owner, places }) => {
      return { shard, term: owner.term, attachment, paths: places.map((place) => asked.paths[place] as string) };
    });
    const call = { method: 'owner-lookup', request: { from: node.id, questions } } as const;
    try {
      const { answers } = await peers.call(id, call, { signal, timeoutSeconds: lookupTimeoutSeconds });
      return asked.of.filter((group, at) => this.#isElsewhere(group, answers[at], asked));
    } catch (error) {
      if (signal.aborted) throw error;
      log.debug('names are looked up here, not by their owner', { owner: id, error });
      return [];
    }
  }

  #isElsewhere(group: Group, answer: OwnerAnswer | undefined, { paths, results }: Asked): boolean {
    if (answer === undefined) return false;
    if ('moved' in answer) return this.#owners.learn(group.shard, answer.moved);
    group.places.forEach((place, at) => {
      const result = answer.results[at];
      if (result === undefined || (!('error' in result) && result.path !== paths[place])) return;
      if (!('error' in result)) results[place] = this.#parts.local.resolved(result);
      else if (!otherwiseHere.has(result.error.code)) results[place] = result;
    });
    return false;
  }
}
