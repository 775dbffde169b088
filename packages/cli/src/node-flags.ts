import type { Command } from 'commander';
import { MillpoolError, parseSize } from '@millpool/protocol';
import type { Role } from '@millpool/protocol';

import { clusterConfigOf } from './cluster-config.ts';
import type { ClusterConfig, ClusterFlags } from './cluster-config.ts';
import type { NodeConfig } from './node-config.ts';
import { directoriesOf, repeated } from './node-directories.ts';
import type { DataFlags } from './node-directories.ts';
import type { Settings } from './settings.ts';

/** As they are given to `up` and `cache`. */
export interface NodeFlags extends DataFlags, ClusterFlags {
  readonly size?: string;
  readonly slowSize?: string;
  readonly detach?: boolean;
}

export function withNodeFlags(command: Command): Command {
  command
    .option('--data <dir>', 'where the cache lies; repeat it for several devices', repeated)
    .option('--slow-data <dir>', 'where a second tier lies, on a larger and slower disk; repeat it', repeated)
    .option('--size <size>', 'stored bytes over all --data directories (200GiB), or a share of each device (90%)')
    .option('--slow-size <size>', 'the same of the slow tier');
  return withClusterFlags(command);
}

export function withClusterFlags(command: Command): Command {
  return command
    .option('--cluster <url>', 'the etcd of the cluster that it is of: etcd://HOST:2379[,HOST:2379…][/PREFIX]')
    .option('--listen <address>', 'HOST:PORT where the other nodes reach it (default: of this machine alone)')
    .option('--token-file <file>', 'the secret that all nodes of the cluster have')
    .option('--detach', 'return when the daemon is up; stop it with `millpool down`');
}

/** Flags over settings. */
export function nodeConfigOf(settings: Settings, flags: NodeFlags, roles: readonly Role[]): NodeConfig {
  const { config } = settings;
  return {
    ...config,
    ...clusterConfigOf(config, flags, roles),
    ...directoriesOf(settings, flags),
    size: flags.size === undefined ? config.size : parseSize(flags.size),
    slowSize: flags.slowSize === undefined ? config.slowSize : parseSize(flags.slowSize),
  };
}

/** Throws `invalid` for a role of a cluster where none is named. */
export function checkHasCluster({ cluster }: ClusterConfig, role: Role): void {
  if (cluster !== null) return;
  throw new MillpoolError({
    code: 'invalid',
    message: `A node for ${role} alone is of a cluster, and none is named.`,
    remedy: 'Name its etcd with --cluster etcd://HOST:2379; `millpool up` needs none.',
  });
}
