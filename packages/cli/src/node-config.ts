import type { Config } from '@millpool/host';

import type { ClusterConfig } from './cluster-config.ts';

/** What of the settings a node goes by. */
export type NodeConfig = ClusterConfig &
  Pick<
    Config,
    | 'dataDirectories'
    | 'slowDataDirectories'
    | 'rotational'
    | 'socket'
    | 'size'
    | 'slowSize'
    | 'budgetBytes'
    | 'extentDelayMs'
    | 'idleSealMs'
    | 'sourceTimeoutMs'
    | 'hedge'
    | 'credentialsRefreshMs'
    | 'keepUnreadMs'
    | 'copyShare'
    | 'listsAtOnce'
    | 'stateDirectory'
    | 'stopTimeoutMs'
    | 'metrics'
  >;
