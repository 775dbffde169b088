import { asMillpoolError } from '@millpool/protocol';
import type { ErrorShape, S3Settings } from '@millpool/protocol';

import { awsSettings } from './aws-settings.ts';
import { ProviderChain } from './credentials.ts';

/** What AWS's own settings come to for an attachment that says nothing of its own; no secret is in it. */
export interface AwsFindings {
  /** Null: AWS's own, by region; undefined where the settings cannot be. */
  readonly endpoint: string | null | undefined;
  readonly region: string | null;
  readonly authorityFiles: readonly string[];
  /** Why the settings cannot be. */
  readonly fault: ErrorShape | null;
  readonly credentials: 'found' | 'none' | 'expired';
  /** Milliseconds since 1970; null where they do not end, or there are none. */
  readonly expiresAtMs: number | null;
}

const refreshMs = 60_000;
const regionDefault = 'us-east-1';

/** Reads environment and files, and asks the provider chain once. */
export async function findAws(environment: NodeJS.ProcessEnv, nowMs: number): Promise<AwsFindings> {
  const profile = environment['AWS_PROFILE'] || null;
  const nothingSaid: S3Settings = { endpoint: null, region: null, profile, anonymous: false, requesterPays: false };
  try {
    const { endpoint, region, authorityFiles } = await awsSettings(nothingSaid, environment);
    const chain = new ProviderChain(profile, region ?? regionDefault, refreshMs);
    const found = await chain.current().catch(() => null);
    const expiresAtMs = found?.expiresAtMs ?? null;
    const isOver = expiresAtMs !== null && expiresAtMs <= nowMs;
    const credentials = found === null ? 'none' : isOver ? 'expired' : 'found';
    return { endpoint, region, authorityFiles, fault: null, credentials, expiresAtMs };
  } catch (error) {
    const fault = asMillpoolError(error).shape;
    return { endpoint: undefined, region: null, authorityFiles: [], fault, credentials: 'none', expiresAtMs: null };
  }
}
