import { fromNodeProviderChain } from '@aws-sdk/credential-providers';
import { systemClock, withDeadline } from '@millpool/host';

import type { Credentials } from '../under-storage.ts';

type Provider = ReturnType<typeof fromNodeProviderChain>;

/** A machine that is not in EC2 or ECS answers nothing at their metadata addresses. */
const metadataTimeoutMs = 1_000;
/** A process or single sign-on of the chain may have to ask the network. */
const chainTimeoutMs = 20_000;

/** AWS's provider chain: environment, profile, single sign-on, web identity, process, container, instance. */
export function providerChain(profile: string | null, region: string): Provider {
  const chain = fromNodeProviderChain({
    ...(profile === null ? {} : { profile }),
    clientConfig: { region },
    timeout: metadataTimeoutMs,
    maxRetries: 1,
  });
  return (properties) => {
    const wait = { name: 'the AWS credentials provider chain', timeoutMs: chainTimeoutMs, clock: systemClock };
    return withDeadline(wait, () => chain(properties));
  };
}

export async function currentCredentials(provider: Provider): Promise<Credentials> {
  const { accessKeyId, secretAccessKey, sessionToken, expiration } = await provider();
  return {
    accessKey: accessKeyId,
    secretKey: secretAccessKey,
    ...(sessionToken === undefined ? {} : { sessionToken }),
    ...(expiration === undefined ? {} : { expiresAtMs: expiration.getTime() }),
  };
}
