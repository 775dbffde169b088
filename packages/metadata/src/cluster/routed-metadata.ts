import type { Clock, Log } from '@millpool/host';
import { asMillpoolError, nameOf } from '@millpool/protocol';
import type { ListReply, ListRequest } from '@millpool/protocol';

import type { HeatCounter } from '../heat/heat-counter.ts';
import type { Home } from '../home.ts';
import { hashName } from '../name-hash.ts';
import type { Owner } from '../owner.ts';
import type { LocalMetadata, Metadata } from '../start.ts';
import type { ClusterNode } from './cluster-node.ts';
import { KeptCopies } from './kept-copies.ts';
import { LookupRouter } from './lookup-router.ts';
import { offerListings } from './moved-listings.ts';
import { OwnerCopies } from './owner-copies.ts';
import { otherwiseHere, Owners, redirectsMax } from './owners.ts';
import type { Peers } from './peers.ts';
import { ReadReports } from './read-reports.ts';

interface Parts {
  readonly node: ClusterNode;
  readonly local: LocalMetadata;
  readonly peers: Peers;
  readonly heat: HeatCounter;
  readonly clock: Clock;
  readonly log: Log;
}

export interface Routed {
  readonly metadata: Metadata;
  /** What this node answers from without owning it. */
  readonly copies: KeptCopies;
  readonly reports: ReadReports;
  close(): void;
}

/** Of a page for which the owner may have to list first; the caller has a deadline of its own. */
const listTimeoutSeconds = 600;

/**
 * The namespace of a cluster: look-ups and listings are asked of the owners of their shards, so that one node lists a
 * directory for all. Where an owner cannot be asked, this node asks the source, as one alone does: an answer is late
 * then, never wrong.
 */
export function routedMetadata(parts: Parts): Routed {
  const { local, node } = parts;
  const owners = new Owners(node);
  local.directories.copyFrom(new OwnerCopies({ ...parts, owners }));
  node.beforeMoves(offerListings(parts));
  const copies = new KeptCopies(parts);
  const reports = new ReadReports({ ...parts, owners });
  const routing = { ...parts, owners, copies, reports };
  const lookups = new LookupRouter(routing);
  const lists = new ListRouter(routing);
  return {
    metadata: {
      ...local,
      handlers: { ...local.handlers, list: (request, { signal }) => lists.list(request, signal) },
      lookup: (paths, signal) => lookups.lookup(paths, signal),
      owner: (path) => ownerOf({ ...parts, owners }, path),
    },
    copies,
    reports,
    close: () => {
      reports.close();
      copies.close();
    },
  };
}

/** Of a directory that was shared out: who owns the part that has the name. */
function ownerOf(
  { local, node, owners }: Pick<Parts, 'local' | 'node'> & { readonly owners: Owners },
  path: string,
): Owner | null {
  const owner = local.owner(path);
  if (owner === null) return null;
  const { shard, directory } = local.homeOf(owner.directory, 'listing') ?? { shard: owner.shard, directory: '' };
  const shards = node.view.directory(directory)?.shards ?? [shard];
  const partition = hashName(Buffer.from(nameOf(path))) & (shards.length - 1);
  const at = shards[partition] ?? shard;
  return { ...owner, node: owners.otherOf(at)?.owner ?? null, shard: at, partition, partitions: shards.length };
}

class ListRouter {
  readonly #parts: Parts & { readonly owners: Owners; readonly copies: KeptCopies; readonly reports: ReadReports };

  constructor(parts: Parts & { readonly owners: Owners; readonly copies: KeptCopies; readonly reports: ReadReports }) {
    this.#parts = parts;
  }

  async list(request: ListRequest, signal: AbortSignal): Promise<ListReply> {
    const { local } = this.#parts;
    const home = local.homeOf(request.path, 'listing');
    const isHere = home === null || this.#isHere(home, request);
    const page = isHere ? null : await this.#pageOf(home, request, signal);
    return page ?? local.handlers.list(request, { signal });
  }

  /** Counted too. */
  #isHere({ shard, directory }: Home, { path, recursive }: ListRequest): boolean {
    const { node, heat, owners, copies, reports } = this.#parts;
    if (node.isNamed(shard)) heat.listed(path, node.id);
    if (owners.otherOf(shard) === null) return true;
    const isPublished = !recursive && node.view.directory(directory)?.rung === 'publish';
    if (!isPublished || !copies.has(path, null)) return false;
    reports.count(path, 1, node.id);
    return true;
  }

  /** Null: no owner gives it. */
  async #pageOf({ attachment, shard }: Home, request: ListRequest, signal: AbortSignal): Promise<ListReply | null> {
    const { peers, node, owners, log } = this.#parts;
    for (let redirects = 0; redirects <= redirectsMax; redirects += 1) {
      const owner = owners.otherOf(shard);
      if (owner === null) return null;
      const question = { attachment, shard, from: node.id, term: owner.term, list: request };
      const call = { method: 'owner-list', request: question } as const;
      try {
        const reply = await peers.call(owner.owner, call, { signal, timeoutSeconds: listTimeoutSeconds });
        if ('page' in reply) return reply.page;
        if (!owners.learn(shard, reply.moved)) return null;
      } catch (thrown) {
        const error = asMillpoolError(thrown);
        if (signal.aborted || !otherwiseHere.has(error.code)) throw error;
        log.debug('a directory is listed here, not by its owner', { path: request.path, owner: owner.owner, error });
        return null;
      }
    }
    return null;
  }
}
