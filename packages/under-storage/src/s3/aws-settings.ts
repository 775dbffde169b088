import type { S3Settings } from '@millpool/protocol';
import { MillpoolError } from '@millpool/protocol';

/** Where to ask and how the bucket is named there, as the settings, AWS's environment and AWS's files say. */
export interface AwsSettings {
  /** Null: AWS's own, by region. */
  readonly endpoint: string | null;
  readonly region: string | null;
  readonly pathStyle: boolean;
  readonly profile: string | null;
  readonly anonymous: boolean;
  readonly requesterPays: boolean;
  /** PEM files of certificate authorities that are trusted beside those of the machine. */
  readonly authorityFiles: readonly string[];
}

/**
 * Each from the first that has it: the attachment's settings, the environment, the profile. A custom endpoint is asked
 * in path style, unless the profile says `s3 = addressing_style = virtual`.
 */
export async function awsSettings(settings: S3Settings, environment: NodeJS.ProcessEnv): Promise<AwsSettings> {
  const profile = await profileOf(settings.profile);
  const configured =
    environment['AWS_IGNORE_CONFIGURED_ENDPOINT_URLS'] === 'true'
      ? []
      : [
          environment['AWS_ENDPOINT_URL_S3'],
          environment['AWS_ENDPOINT_URL'],
          profile.serviceEndpoint,
          profile.values['endpoint_url'],
        ];
  const endpoint = firstOf([settings.endpoint, ...configured]);
  const region = firstOf([
    settings.region,
    environment['AWS_REGION'],
    environment['AWS_DEFAULT_REGION'],
    profile.values['region'],
  ]);
  if (region !== null && !/^[A-Za-z0-9-]+$/.test(region)) throw badRegion(region);
  const addressing = profile.values['s3.addressing_style'];
  return {
    endpoint: endpoint === null ? null : endpointOf(endpoint),
    region,
    pathStyle: addressing === 'path' || (endpoint !== null && addressing !== 'virtual'),
    profile: settings.profile,
    anonymous: settings.anonymous,
    requesterPays: settings.requesterPays,
    authorityFiles: authorityFilesOf(environment, profile),
  };
}

function badRegion(region: string): MillpoolError {
  return new MillpoolError({
    code: 'invalid',
    message: `${JSON.stringify(region)} cannot be the name of an S3 region`,
    remedy: 'Give it as in us-east-1 (--region, AWS_REGION, or `region` in the profile).',
  });
}

interface Profile {
  readonly values: Readonly<Record<string, string | undefined>>;
  /** `endpoint_url` below `s3` in the `services` section that the profile names. */
  readonly serviceEndpoint: string | undefined;
}

async function profileOf(wanted: string | null): Promise<Profile> {
  // Whoever attaches folders alone loads nothing of AWS.
  const { getProfileName, loadSharedConfigFiles } = await import('@smithy/core/config');
  const { configFile, credentialsFile } = await loadSharedConfigFiles({ ignoreCache: true });
  const name = getProfileName(wanted === null ? {} : { profile: wanted });
  const values = { ...configFile[name], ...credentialsFile[name] };
  if (wanted !== null && !(wanted in configFile) && !(wanted in credentialsFile)) {
    throw new MillpoolError({
      code: 'invalid',
      message: `there is no AWS profile ${JSON.stringify(wanted)}`,
      remedy: 'See `aws configure list-profiles`; AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE say where they are.',
    });
  }
  const services = values['services'];
  const section = services === undefined ? undefined : configFile[`services.${services}`];
  return { values, serviceEndpoint: section?.['s3.endpoint_url'] };
}

/** By whatever name a machine's administrator gave them: AWS's own, OpenSSL's, Node's. */
function authorityFilesOf(environment: NodeJS.ProcessEnv, { values }: Profile): readonly string[] {
  const named = [
    firstOf([environment['AWS_CA_BUNDLE'], values['ca_bundle']]),
    environment['SSL_CERT_FILE'],
    environment['NODE_EXTRA_CA_CERTS'],
  ];
  return [...new Set(named.flatMap((file) => (file ? [file] : [])))];
}

function firstOf(values: readonly (string | null | undefined)[]): string | null {
  return values.find((value) => value !== null && value !== undefined && value !== '') ?? null;
}

/** Scheme, host and port, as short as they can be written. */
function endpointOf(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  const fault =
    url === null || !/^https?:$/.test(url.protocol)
      ? 'is no http:// or https:// URL'
      : url.pathname !== '/' || url.search !== '' || url.hash !== ''
        ? 'has more than a host and a port'
        : url.username !== ''
          ? 'holds a user name'
          : null;
  if (url !== null && fault === null) return url.origin;
  // What stands before an @ may be a password.
  const shown = JSON.stringify(text.slice(text.lastIndexOf('@') + 1));
  throw new MillpoolError({
    code: 'invalid',
    message: `the S3 endpoint ${shown} ${fault ?? ''}`,
    remedy: 'Write it as https://HOST or http://HOST:PORT; the bucket belongs into s3://BUCKET/PREFIX.',
  });
}
