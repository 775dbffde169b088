import { nameOf } from '@millpool/protocol';

import { hashName } from '../name-hash.ts';
import type { Owner } from '../owner.ts';
import type { Metadata } from '../start.ts';
import { CopyGivers } from './copy-givers.ts';
import { KeptCopies } from './kept-copies.ts';
import { ListRouter } from './list-router.ts';
import { LookupRouter } from './lookup-router.ts';
import { offerListings } from './moved-listings.ts';
import { OwnerCopies } from './owner-copies.ts';
import { Owners } from './owners.ts';
import { ReadReports } from './read-reports.ts';
import { Replicas } from './replicas.ts';
import type { Routing } from './routing.ts';

type Parts = Omit<Routing, 'owners' | 'copies' | 'reports' | 'replicas' | 'givers'>;

export interface Routed {
  readonly metadata: Metadata;
  readonly routing: Routing;
  close(): void;
}

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
  const kept = { replicas: new Replicas(parts.clock), givers: new CopyGivers(parts.clock) };
  const routing: Routing = { ...parts, owners, copies, reports, ...kept };
  const lookups = new LookupRouter(routing);
  const lists = new ListRouter(routing);
  return {
    metadata: {
      ...local,
      handlers: { ...local.handlers, list: (request, { signal }) => lists.list(request, signal) },
      lookup: (paths, signal) => lookups.lookup(paths, signal),
      objects: (paths, signal) => lookups.objects(paths, signal),
      owner: (path) => ownerOf(routing, path),
    },
    routing,
    close: () => {
      reports.close();
      copies.close();
    },
  };
}

/** Of a directory that was shared out: who owns the part that has the name. */
function ownerOf({ local, node, owners }: Routing, path: string): Owner | null {
  const owner = local.owner(path);
  if (owner === null) return null;
  const { shard, directory } = local.homeOf(owner.directory, 'listing') ?? { shard: owner.shard, directory: '' };
  const shards = node.view.directory(directory)?.shards ?? [shard];
  const partition = hashName(Buffer.from(nameOf(path))) & (shards.length - 1);
  const at = shards[partition] ?? shard;
  return { ...owner, node: owners.otherOf(at)?.owner ?? null, shard: at, partition, partitions: shards.length };
}
