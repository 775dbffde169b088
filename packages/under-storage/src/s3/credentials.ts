import type { fromNodeProviderChain } from '@aws-sdk/credential-providers';
import { systemClock, withDeadline } from '@millpool/host';

import type { SourceCredentials } from '@millpool/protocol';

type Provider = ReturnType<typeof fromNodeProviderChain>;

/** A machine that is not in EC2 or ECS answers nothing at their metadata addresses. */
const metadataTimeoutMs = 1_000;
/** A process or single sign-on of the chain may have to ask the network. */
const chainTimeoutMs = 20_000;
/** The SDK asks again when the end of what it has is nearer than this. */
const sdkMarginMs = 5 * 60_000;

/**
 * AWS's provider chain: environment, profile, single sign-on, web identity, process, container, instance. Credentials
 * without an end are asked for again every `refreshMs`: their file may have been given others.
 */
export class ProviderChain {
  readonly #settings: Parameters<typeof fromNodeProviderChain>[0];
  readonly #refreshMs: number;

  constructor(profile: string | null, region: string, refreshMs: number) {
    const settings = { clientConfig: { region }, timeout: metadataTimeoutMs, maxRetries: 1, ignoreCache: true };
    this.#settings = { ...settings, ...(profile === null ? {} : { profile }) };
    this.#refreshMs = refreshMs;
  }

  /** For the SDK, which keeps for ever what has no end: so it is told of one. */
  readonly forSdk: Provider = async () => {
    const identity = await this.#ask();
    const expiration = identity.expiration ?? new Date(systemClock.nowMs() + sdkMarginMs + this.#refreshMs);
    return { ...identity, expiration };
  };

  async current(): Promise<SourceCredentials> {
    const { accessKeyId, secretAccessKey, sessionToken, expiration } = await this.#ask();
    return {
      accessKey: accessKeyId,
      secretKey: secretAccessKey,
      ...(sessionToken === undefined ? {} : { sessionToken }),
      ...(expiration === undefined ? {} : { expiresAtMs: expiration.getTime() }),
    };
  }

  #ask(): ReturnType<Provider> {
    const wait = { name: 'the AWS credentials provider chain', timeoutMs: chainTimeoutMs, clock: systemClock };
    return withDeadline(wait, async () => {
      // Loaded when it is asked for: it costs more than a whole command that needs none.
      const { fromNodeProviderChain } = await import('@aws-sdk/credential-providers');
      // A chain keeps what it found first, as the reading of its files does: so each time another one is asked.
      return fromNodeProviderChain(this.#settings)();
    });
  }
}
