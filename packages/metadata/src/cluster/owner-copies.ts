import type { Log } from '@millpool/host';
import type { ListingPart, OwnerCopyReply, OwnerCopyRequest } from '@millpool/protocol';

import type { Directory } from '../directory.ts';
import type { ListingCopies, ListingCopy, WantedCopy } from '../listing-copy.ts';
import type { ClusterNode } from './cluster-node.ts';
import { ownerUnknown, redirectsMax } from './owners.ts';
import type { Owners } from './owners.ts';
import type { Peers } from './peers.ts';

interface Parts {
  readonly node: ClusterNode;
  readonly owners: Owners;
  readonly peers: Peers;
  readonly log: Log;
}

type Wanted = Pick<OwnerCopyRequest, 'maxAgeSeconds' | 'known' | 'after' | 'isReferred'>;

/** Of a part for which the owner may have to list first; who wants the listing has a deadline of its own. */
const firstTimeoutSeconds = 600;
const partTimeoutSeconds = 30;

/** Listings as their owners have them, so that one node lists a directory for all. */
export class OwnerCopies implements ListingCopies {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  async open(directory: Directory, wanted: WantedCopy, signal: AbortSignal): Promise<ListingCopy | null> {
    const { owners, log } = this.#parts;
    let isReferred = false;
    for (let redirects = 0; redirects <= redirectsMax; redirects += 1) {
      const owner = owners.otherOf(directory.home)?.owner;
      if (owner === undefined) return null;
      try {
        const asked = { ...wanted, after: null, isReferred };
        const reply = await this.#ask(owner, directory, asked, { signal, timeoutSeconds: firstTimeoutSeconds });
        if ('part' in reply) return this.#copyFrom(owner, directory, { first: reply.part, isReferred, signal });
        if ('at' in reply) {
          const copy = await this.#ofCopy(reply.at, directory, wanted, signal);
          if (copy !== null) return copy;
          isReferred = true;
        } else if (!owners.learn(directory.home, reply.moved)) {
          return null;
        }
      } catch (error) {
        signal.throwIfAborted();
        log.debug('a directory is listed here, not by its owner', { path: directory.path, owner, error });
        return null;
      }
    }
    return null;
  }

  /** Of what another node has copied itself; null where it has nothing that will do. */
  async #ofCopy(
    at: string,
    directory: Directory,
    wanted: WantedCopy,
    signal: AbortSignal,
  ): Promise<ListingCopy | null> {
    try {
      const asked = { ...wanted, after: null, isReferred: true };
      const reply = await this.#ask(at, directory, asked, { signal, timeoutSeconds: partTimeoutSeconds });
      return 'part' in reply ? this.#copyFrom(at, directory, { first: reply.part, isReferred: true, signal }) : null;
    } catch (error) {
      signal.throwIfAborted();
      this.#parts.log.debug('a copy cannot be copied', { path: directory.path, from: at, error });
      return null;
    }
  }

  /** All of it comes from one node: what another one has may be older. */
  #copyFrom(
    giver: string,
    directory: Directory,
    { first, isReferred, signal }: { first: ListingPart; isReferred: boolean; signal: AbortSignal },
  ): ListingCopy {
    const more: ListingCopy['more'] = async (after) => {
      const asked = { maxAgeSeconds: null, known: null, after, isReferred };
      const next = await this.#ask(giver, directory, asked, { signal, timeoutSeconds: partTimeoutSeconds });
      if (!('part' in next)) throw ownerUnknown(directory.path);
      return next.part;
    };
    return { first, more };
  }

  #ask(
    id: string,
    { home, attachment, path, part }: Directory,
    asked: Wanted,
    options: { readonly signal: AbortSignal; readonly timeoutSeconds: number },
  ): Promise<OwnerCopyReply> {
    const { node, owners, peers } = this.#parts;
    const term = owners.otherOf(home)?.term ?? 0;
    const request = { from: node.id, shard: home, term, attachment, path, part, ...asked };
    return peers.call(id, { method: 'owner-copy', request }, options);
  }
}
