import type { Clock, Log } from '@millpool/host';
import type { Engine } from '@millpool/native';
import type { UnderStorage } from '@millpool/under-storage';
import type { SourceCredentials } from '@millpool/protocol';

/** Pushed again this long before they end, so that no request is signed with dead ones. */
const marginMs = 5 * 60_000;
/** Where the provider cannot answer, or gives an end that is near, this long passes before it is asked again. */
const retryMs = 20_000;

interface Supply {
  readonly storage: UnderStorage;
  /** What the provider chain said first. */
  readonly credentials: SourceCredentials | null;
}

interface Parts {
  readonly engine: Engine;
  readonly clock: Clock;
  readonly log: Log;
  /** How often credentials without an end are asked for again. */
  readonly refreshMs: number;
}

/** Keeps the engine supplied with what the AWS provider chain says, for as long as an attachment lives. */
export class CredentialFeed {
  readonly #attachment: number;
  readonly #parts: Parts;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;

  constructor(attachment: number, supply: Supply, parts: Parts) {
    this.#attachment = attachment;
    this.#parts = parts;
    this.#running = this.#run(supply.storage, this.#push(supply.credentials));
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(storage: UnderStorage, firstWaitMs: number): Promise<void> {
    const { clock, log } = this.#parts;
    const { signal } = this.#stop;
    for (let waitMs = firstWaitMs; ;) {
      await clock.sleep(waitMs, signal).catch(() => undefined);
      if (signal.aborted) return;
      try {
        waitMs = this.#push(await storage.credentials());
      } catch (error) {
        log.warn('credentials not refreshed', { attachment: this.#attachment, error: String(error) });
        waitMs = Math.min(retryMs, this.#parts.refreshMs);
      }
    }
  }

  /** Milliseconds until the provider is to be asked again. */
  #push(credentials: SourceCredentials | null): number {
    const { engine, clock, refreshMs } = this.#parts;
    engine.setCredentials(this.#attachment, credentials);
    const expiresAtMs = credentials?.expiresAtMs;
    if (expiresAtMs === undefined) return refreshMs;
    return Math.max(retryMs, expiresAtMs - marginMs - clock.nowMs());
  }
}
