import { readFileSync } from 'node:fs';
import { rootCertificates } from 'node:tls';

import { S3Client } from '@aws-sdk/client-s3';

import { MillpoolError } from '@millpool/protocol';
import type { SourceAddress } from '@millpool/protocol';
import type { AwsSettings } from './aws-settings.ts';
import type { ProviderChain } from './credentials.ts';

const attemptsMax = 4;
const connectionTimeout = 5_000;
const requestTimeout = 20_000;
const socketsMax = 64;

/**
 * The SDK's client for one region; it signs nothing without a chain. It retries what may heal, with full jitter, each
 * attempt within its time-out.
 */
export function s3Client(settings: AwsSettings, region: string, chain: ProviderChain | null): S3Client {
  // Which Node the SDK is about to leave behind is for us to watch, not for people who run `millpool`.
  process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';
  return new S3Client({
    region,
    forcePathStyle: settings.pathStyle,
    ...(settings.endpoint === null ? {} : { endpoint: settings.endpoint }),
    ...(chain === null ? unsigned : { credentials: chain.forSdk }),
    maxAttempts: attemptsMax,
    retryMode: 'standard',
    requestHandler: {
      connectionTimeout,
      requestTimeout,
      throwOnRequestTimeout: true,
      httpAgent: { keepAlive: true, maxSockets: socketsMax },
      httpsAgent: { keepAlive: true, maxSockets: socketsMax, ...trusting(settings.authorityFiles) },
    },
  });
}

/** Node's own authorities and those of the files; Node's default where there are none. */
function trusting(authorityFiles: readonly string[]): { readonly ca?: string[] } {
  if (authorityFiles.length === 0) return {};
  return { ca: [...rootCertificates, ...authorityFiles.map(readAuthorities)] };
}

function readAuthorities(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new MillpoolError(
      {
        code: 'invalid',
        message: `the file of certificate authorities ${file} cannot be read`,
        remedy: 'Correct AWS_CA_BUNDLE, SSL_CERT_FILE or NODE_EXTRA_CA_CERTS, or `ca_bundle` in the AWS profile.',
        path: file,
      },
      { cause: error },
    );
  }
}

/** The SDK wants an identity even where nothing is signed with it. */
const unsigned = {
  credentials: { accessKeyId: 'anonymous', secretAccessKey: 'anonymous' },
  signer: { sign: <Request>(request: Request): Promise<Request> => Promise.resolve(request) },
};

export type BucketAddress = Extract<SourceAddress, { readonly kind: 's3' }>;

/** Where the client finds a bucket, as the native side needs to know it. */
export async function bucketAddress(client: S3Client, bucket: string, settings: AwsSettings): Promise<BucketAddress> {
  const region = await client.config.region();
  const { url } = client.config.endpointProvider({
    Bucket: bucket,
    Region: region,
    ...(settings.endpoint === null ? {} : { Endpoint: settings.endpoint }),
    ForcePathStyle: settings.pathStyle,
    UseFIPS: await client.config.useFipsEndpoint(),
    UseDualStack: await client.config.useDualstackEndpoint(),
  });
  const virtual = url.host.startsWith(`${bucket}.`);
  const host = virtual ? url.host.slice(bucket.length + 1) : url.host;
  const { anonymous, requesterPays, authorityFiles } = settings;
  const endpoint = `${url.protocol}//${host}`;
  return { kind: 's3', endpoint, region, bucket, pathStyle: !virtual, anonymous, requesterPays, authorityFiles };
}
