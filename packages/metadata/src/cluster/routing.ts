import type { Clock, Log } from '@millpool/host';

import type { HeatCounter } from '../heat/heat-counter.ts';
import type { LocalMetadata } from '../start.ts';
import type { ClusterNode } from './cluster-node.ts';
import type { CopyGivers } from './copy-givers.ts';
import type { KeptCopies } from './kept-copies.ts';
import type { Owners } from './owners.ts';
import type { Peers } from './peers.ts';
import type { ReadReports } from './read-reports.ts';
import type { Replicas } from './replicas.ts';

/** What it takes to have a question answered by whoever can do so best. */
export interface Routing {
  readonly node: ClusterNode;
  readonly local: LocalMetadata;
  readonly owners: Owners;
  readonly peers: Peers;
  readonly copies: KeptCopies;
  readonly reports: ReadReports;
  readonly replicas: Replicas;
  readonly givers: CopyGivers;
  readonly heat: HeatCounter;
  readonly clock: Clock;
  readonly log: Log;
}
