import type { Clock, Log } from '@millpool/host';
import type { Engine } from '@millpool/native';
import type { UnderStorage } from '@millpool/under-storage';

/** Pushed again this long before they end, so that no request is signed with dead ones. */
const marginMs = 5 * 60_000;
/** Where the provider cannot answer, or gives an end that is near, this long passes before it is asked again. */
const retryMs = 20_000;
/** A day: credentials without an end may still be replaced in their file. */
const refreshMsMax = 24 * 3600_000;

/** Keeps the engine supplied with what the AWS provider chain says, for as long as an attachment lives. */
export class CredentialFeed {
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;

  private constructor(running: (signal: AbortSignal) => Promise<void>) {
    this.#running = running(this.#stop.signal);
  }

  /** Pushes the first credentials before it resolves; throws `refused` where the provider chain has none. */
  static async start(
    attachment: number,
    storage: UnderStorage,
    host: { readonly engine: Engine; readonly clock: Clock; readonly log: Log },
  ): Promise<CredentialFeed> {
    const { engine, clock, log } = host;
    const push = async (): Promise<number> => {
      const credentials = await storage.credentials();
      engine.setCredentials(attachment, credentials);
      const expiresAtMs = credentials?.expiresAtMs;
      if (credentials === null || expiresAtMs === undefined) return refreshMsMax;
      return Math.min(refreshMsMax, Math.max(retryMs, expiresAtMs - marginMs - clock.nowMs()));
    };
    let waitMs = await push();
    return new CredentialFeed(async (signal) => {
      while (!signal.aborted) {
        await clock.sleep(waitMs, signal).catch(() => undefined);
        if (signal.aborted) return;
        waitMs = await push().catch((error: unknown) => {
          log.warn('credentials not refreshed', { attachment, error: String(error) });
          return retryMs;
        });
      }
    });
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }
}
