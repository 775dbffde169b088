import type { Log } from '@millpool/host';
import type { OwnerCopyRequest } from '@millpool/protocol';

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

type Wanted = Pick<OwnerCopyRequest, 'maxAgeSeconds' | 'known' | 'after'>;

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
    for (let redirects = 0; redirects <= redirectsMax; redirects += 1) {
      const owner = owners.otherOf(directory.home)?.owner;
      if (owner === undefined) return null;
      const ask = this.#asking(owner, directory, signal);
      try {
        const reply = await ask({ ...wanted, after: null }, firstTimeoutSeconds);
        if ('moved' in reply) {
          if (owners.learn(directory.home, reply.moved)) continue;
          return null;
        }
        const more: ListingCopy['more'] = async (after) => {
          // All of it comes from one node: what another one has may be older.
          const next = await ask({ maxAgeSeconds: null, known: null, after }, partTimeoutSeconds);
          if ('moved' in next) throw ownerUnknown(directory.path);
          return next.part;
        };
        return { first: reply.part, more };
      } catch (error) {
        signal.throwIfAborted();
        log.debug('a directory is listed here, not by its owner', { path: directory.path, owner, error });
        return null;
      }
    }
    return null;
  }

  #asking(owner: string, { home, attachment, path, part }: Directory, signal: AbortSignal) {
    const { node, owners, peers } = this.#parts;
    return (asked: Wanted, timeoutSeconds: number) => {
      const term = owners.otherOf(home)?.term ?? 0;
      const request = { from: node.id, shard: home, term, attachment, path, part, ...asked };
      return peers.call(owner, { method: 'owner-copy', request }, { signal, timeoutSeconds });
    };
  }
}
