import { MillpoolError } from '@millpool/protocol';
import type { ErrorCode } from '@millpool/protocol';

/** What was asked of which bucket, for sentences about how it failed. */
export interface S3Place {
  readonly bucket: string;
  readonly endpoint: string;
  readonly region: string;
}

/** What is told of a failed request. */
export interface S3Failure {
  /** S3's error code, the operating system's, or the SDK's own name. */
  readonly name: string;
  /** 0: no answer. */
  readonly status: number;
  /** Where the bucket is, when the answer says so. */
  readonly bucketRegion: string | null;
}

interface Row {
  readonly names: RegExp;
  readonly code: ErrorCode;
  readonly message: (place: S3Place, doing: string) => string;
  readonly remedy: string;
}

const credentialsRemedy =
  'Check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the profile (--profile, AWS_PROFILE), and the endpoint.';

const redirects =
  /^(PermanentRedirect|TemporaryRedirect|AuthorizationHeaderMalformed|IllegalLocationConstraintException)$/;

/** First fit holds. */
const rows: readonly Row[] = [
  {
    names: /^NoSuchBucket$/,
    code: 'not-found',
    message: ({ bucket, endpoint }) => `there is no bucket ${bucket} at ${endpoint}`,
    remedy: 'Check its name and the endpoint (--endpoint, AWS_ENDPOINT_URL).',
  },
  {
    names: /^(Credentials|Token)?ProviderError$|^CredentialsProviderError$|^TokenProviderError$/,
    code: 'refused',
    message: ({ bucket }) => `no AWS credentials were found for s3://${bucket}`,
    remedy:
      'Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile (--profile); a public bucket: --anonymous.',
  },
  {
    // The second is versitygw, which says 404 with it.
    names: /^(InvalidAccessKeyId|XAdminUserNotFound)$/,
    code: 'refused',
    message: ({ endpoint }) => `${endpoint} does not know the access key`,
    remedy: credentialsRemedy,
  },
  {
    names: /^(SignatureDoesNotMatch|InvalidSignatureException)$/,
    code: 'refused',
    message: ({ endpoint }) => `${endpoint} did not accept the signature: the secret key does not fit the access key`,
    remedy: credentialsRemedy,
  },
  {
    names: /^(ExpiredToken(Exception)?|InvalidToken|TokenRefreshRequired)$/,
    code: 'refused',
    message: ({ bucket }) => `the AWS credentials for s3://${bucket} have expired or their session token is wrong`,
    remedy: 'Renew them (`aws sso login`, or a new AWS_SESSION_TOKEN).',
  },
  {
    names: /^RequestTimeTooSkewed$/,
    code: 'refused',
    message: ({ endpoint }) => `${endpoint} refuses requests because its clock differs from the one of this machine`,
    remedy: 'Set the clock of this machine (NTP).',
  },
  {
    names: redirects,
    code: 'invalid',
    message: ({ bucket, region }) => `the bucket ${bucket} is not in the region ${region}`,
    remedy: 'Give its region (--region, AWS_REGION), or its endpoint.',
  },
  {
    names: /^InvalidBucketName$/,
    code: 'invalid',
    message: ({ bucket }) => `${bucket} cannot be the name of a bucket`,
    remedy: 'Give s3://BUCKET/PREFIX.',
  },
  {
    names: /CERT|^ERR_TLS|^ERR_SSL|SELF_SIGNED|UNABLE_TO_VERIFY|^EPROTO$/,
    code: 'source-unavailable',
    message: ({ endpoint }) => `no trusted TLS connection to ${endpoint} could be made`,
    remedy: 'Name the file of its certificate authority in AWS_CA_BUNDLE, or use http:// if it speaks no TLS.',
  },
];

/** What is left, by the number of the answer. */
function rowOfStatus(status: number): Omit<Row, 'names'> {
  if (status === 0) {
    return {
      code: 'source-unavailable',
      message: ({ endpoint }, doing) => `${endpoint} cannot be reached for ${doing}`,
      remedy: 'Check that it runs, and the endpoint (--endpoint, AWS_ENDPOINT_URL).',
    };
  }
  if (status === 401 || status === 403) {
    return {
      code: 'refused',
      message: ({ endpoint }, doing) => `${endpoint} does not permit ${doing}`,
      remedy: 'Allow s3:ListBucket on the bucket and s3:GetObject in it, or use other credentials (--profile).',
    };
  }
  if (status === 404) {
    return {
      code: 'not-found',
      message: ({ bucket, endpoint }) => `${endpoint} knows no bucket ${bucket}`,
      remedy: 'Check its name, and that the endpoint speaks S3.',
    };
  }
  if (status === 429 || status >= 500) {
    return {
      code: 'source-unavailable',
      message: ({ endpoint }, doing) => `${endpoint} could not do ${doing}`,
      remedy: 'It is overloaded or broken; try again later.',
    };
  }
  return {
    code: 'source-broken',
    message: ({ endpoint }, doing) => `${endpoint} did not understand ${doing}`,
    remedy: 'Check that the endpoint speaks S3, and its region.',
  };
}

/**
 * A request that failed, with what decides about another try. `doing` completes "… does not permit": `the LIST of
 * s3://bucket/a/`. The SDK's own error is left behind, since it holds the signed headers.
 */
export class S3RequestError extends MillpoolError {
  readonly failure: S3Failure;

  constructor(failure: S3Failure, place: S3Place, doing: string) {
    const row = rows.find(({ names }) => names.test(failure.name)) ?? rowOfStatus(failure.status);
    const facts = failure.status === 0 ? failure.name : `${failure.name}, ${failure.status}`;
    super({ code: row.code, message: `${row.message(place, doing)} (${facts})`, remedy: row.remedy });
    this.failure = failure;
  }

  /** The server understood who asks for what, or nearly, and said no. */
  get isDenial(): boolean {
    return this.failure.status >= 400 && this.failure.status <= 404;
  }

  /** The answer was about where the bucket is. */
  get isRedirect(): boolean {
    return redirects.test(this.failure.name) || [301, 307].includes(this.failure.status);
  }
}

/** An answer that breaks S3's rules. */
export function brokenAnswer(place: S3Place, doing: string, fault: string): MillpoolError {
  return new MillpoolError({
    code: 'source-broken',
    message: `the answer of ${place.endpoint} to ${doing} ${fault}`,
    remedy: 'Check that the endpoint speaks S3 and is current.',
  });
}

/** The facts of whatever the SDK threw. */
export function failureOf(thrown: unknown): S3Failure {
  const metadata = member(thrown, '$metadata');
  const headers = member(member(thrown, '$response'), 'headers');
  const status = member(metadata, 'httpStatusCode');
  const region = [member(headers, 'x-amz-bucket-region'), member(thrown, 'Region')].find(isText);
  const name = [member(thrown, 'code'), member(thrown, 'Code'), member(thrown, 'name')].find(isText);
  return {
    name: name ?? 'unknown',
    status: typeof status === 'number' ? status : 0,
    bucketRegion: region ?? null,
  };
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}

function member(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (Reflect.get(value, name) as unknown) : undefined;
}
