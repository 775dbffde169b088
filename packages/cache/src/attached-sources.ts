import type { Clock, Log, Timer } from '@millpool/host';
import type { Metadata } from '@millpool/metadata';
import type { AttachmentSettings, Engine } from '@millpool/native';
import { asMillpoolError, MillpoolError } from '@millpool/protocol';
import type { Attachment, ErrorShape } from '@millpool/protocol';

import { CredentialFeed } from './credentials.ts';

interface Parts {
  readonly engine: Engine;
  readonly metadata: Metadata;
  readonly clock: Clock;
  readonly log: Log;
  /** How often credentials without an end are asked for again. */
  readonly refreshMs: number;
}

/** A daemon that starts waits so long for its sources: after it, those that have not answered count as away. */
const startPatienceMs = 5_000;
/** Credentials that are missing, say, come without anybody telling us. */
const retryMs = 5_000;

/**
 * Keeps the engine's sources the same as the namespace's attachments. What is resident of an attachment can be read
 * while its source is away; a source that comes back is used again.
 */
export class AttachedSources {
  readonly #parts: Parts;
  readonly #feeds = new Map<number, CredentialFeed>();
  /** Attachments whose source is not in the engine, with the reason. */
  readonly #away = new Map<number, ErrorShape>();
  readonly #opening = new Map<number, Promise<void>>();
  readonly #retries = new Map<number, Timer>();
  readonly #unwatch: () => void;

  private constructor(parts: Parts) {
    this.#parts = parts;
    this.#unwatch = parts.metadata.watchAttachments(() => this.#openThoseAway());
  }

  /** A source that cannot be reached now does not keep the daemon from starting. */
  static async start(parts: Parts): Promise<AttachedSources> {
    const sources = new AttachedSources(parts);
    const opened = Promise.all(
      parts.metadata.attachments().map((attachment) => {
        sources.#setAway(attachment, notOpenedYet(attachment));
        return sources.#openAgain(attachment);
      }),
    );
    const soon = new AbortController();
    await Promise.race([opened, parts.clock.sleep(startPatienceMs, soon.signal).catch(() => undefined)]);
    soon.abort();
    return sources;
  }

  /** Throws what opening the source throws: credentials that are missing, a bucket that is not there. */
  async add(attachment: Attachment): Promise<void> {
    const { engine, metadata } = this.#parts;
    const { id } = attachment;
    const storage = await metadata.underStorage(id);
    const credentials = await storage.credentials();
    engine.attach(id, { ...termsOf(attachment), source: storage.address });
    if (storage.scheme === 's3') this.#feeds.set(id, new CredentialFeed(id, { storage, credentials }, this.#parts));
    this.#away.delete(id);
  }

  async remove(attachment: number): Promise<void> {
    this.#retries.get(attachment)?.cancel();
    this.#retries.delete(attachment);
    await this.#opening.get(attachment);
    this.#away.delete(attachment);
    this.#parts.engine.detach(attachment);
    await this.#feeds.get(attachment)?.stop();
    this.#feeds.delete(attachment);
  }

  /** Why what is not resident of an attachment cannot be read now; null where it can. */
  errorOf(attachment: number): ErrorShape | null {
    return this.#away.get(attachment) ?? null;
  }

  async stop(): Promise<void> {
    this.#unwatch();
    for (const retry of this.#retries.values()) retry.cancel();
    await Promise.all([...this.#feeds.values()].map((feed) => feed.stop()));
    this.#feeds.clear();
  }

  #openThoseAway(): void {
    for (const attachment of this.#parts.metadata.attachments()) {
      if (this.#away.has(attachment.id)) void this.#openAgain(attachment);
    }
  }

  /** Never rejects: the reason is kept, and it is tried again. */
  #openAgain(attachment: Attachment): Promise<void> {
    const { id, path } = attachment;
    const { log, clock } = this.#parts;
    const underWay = this.#opening.get(id);
    if (underWay !== undefined) return underWay;
    const opening = this.add(attachment)
      .then(() => log.info('source opened', { path }))
      .catch((thrown: unknown) => {
        const error = asMillpoolError(thrown);
        this.#setAway(attachment, error);
        this.#retries.set(
          id,
          clock.after(retryMs, () => void this.#openAgain(attachment)),
        );
      })
      .finally(() => this.#opening.delete(id));
    this.#opening.set(id, opening);
    return opening;
  }

  #setAway(attachment: Attachment, error: MillpoolError): void {
    const { id } = attachment;
    this.#away.set(id, error.shape);
    this.#parts.engine.attach(id, { ...termsOf(attachment), source: { kind: 'away', error } });
  }
}

function termsOf({ identity, policy, compression }: Attachment): Omit<AttachmentSettings, 'source'> {
  return { identity, admit: policy !== 'stream', compression };
}

function notOpenedYet({ path, source }: Attachment): MillpoolError {
  return new MillpoolError({
    code: 'source-unavailable',
    message: `${source} has not answered since the daemon started.`,
    remedy: 'It is tried again; see `millpool status`.',
    path,
  });
}
