import { asMillpoolError } from '@millpool/protocol';
import type { ListReply, ListRequest } from '@millpool/protocol';

import type { Home } from '../home.ts';
import { otherwiseHere, redirectsMax } from './owners.ts';
import type { Routing } from './routing.ts';

/** Of a page for which the owner may have to list first; the caller has a deadline of its own. */
const listTimeoutSeconds = 600;

/** Pages of listings, each from the owner of its directory's home, or from a copy. */
export class ListRouter {
  readonly #parts: Routing;

  constructor(parts: Routing) {
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
