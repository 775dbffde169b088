import { join } from 'node:path';

/** A real S3 server that tests, demo and benchmarks talk to. */
export interface S3Server {
  readonly endpoint: string;
  readonly region: string;
  readonly accessKey: string;
  readonly secretKey: string;
  stop(): Promise<void>;
}

/** What tells any AWS client, in this process or a child, of a server. */
export function awsEnvironment(server: Omit<S3Server, 'stop'>): Record<string, string> {
  return {
    AWS_ENDPOINT_URL: server.endpoint,
    AWS_REGION: server.region,
    AWS_ACCESS_KEY_ID: server.accessKey,
    AWS_SECRET_ACCESS_KEY: server.secretKey,
    AWS_EC2_METADATA_DISABLED: 'true',
  };
}

/**
 * Takes from this process and its children every AWS setting of this machine, and the certificate authorities that it
 * trusts beside Node's; its files are those of `directory`.
 */
export function clearAwsEnvironment(directory: string): void {
  for (const name of Object.keys(process.env)) if (name.startsWith('AWS_')) delete process.env[name];
  for (const name of ['SSL_CERT_FILE', 'NODE_EXTRA_CA_CERTS']) delete process.env[name];
  process.env['AWS_SHARED_CREDENTIALS_FILE'] = join(directory, 'credentials');
  process.env['AWS_CONFIG_FILE'] = join(directory, 'config');
  process.env['AWS_EC2_METADATA_DISABLED'] = 'true';
}
