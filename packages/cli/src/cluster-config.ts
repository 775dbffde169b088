import type { Config } from '@millpool/host';
import type { Role } from '@millpool/protocol';

/** What of the settings a node of a cluster goes by. */
export type ClusterConfig = Pick<
  Config,
  | 'cluster'
  | 'listen'
  | 'tokenFile'
  | 'tlsAuthority'
  | 'tlsCertificate'
  | 'tlsKey'
  | 'clusterOpen'
  | 'etcdAuthority'
  | 'etcdCertificate'
  | 'etcdKey'
  | 'shards'
  | 'hotReadsPerS'
  | 'rebootGraceMs'
> & {
  /** Of no meaning for a node that is alone. */
  readonly roles: readonly Role[];
};

/** As they were given as flags. */
export interface ClusterFlags {
  readonly cluster?: string;
  readonly listen?: string;
  readonly tokenFile?: string;
}

/** Flags over settings. */
export function clusterConfigOf(config: Config, flags: ClusterFlags, roles: readonly Role[]): ClusterConfig {
  const { cluster, listen, tokenFile } = flags;
  return {
    ...config,
    roles,
    cluster: cluster ?? config.cluster,
    listen: listen ?? config.listen,
    tokenFile: tokenFile ?? config.tokenFile,
  };
}
