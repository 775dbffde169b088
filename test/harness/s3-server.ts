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
