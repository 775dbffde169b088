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
  /** Attachments that the engine knows. */
  readonly #known = new Set<number>();
  /** Attachments whose source is not in the engine, with the reason. */
  readonly #away = new Map<number, ErrorShape>();
  readonly #opening = new Map<number, Promise<void>>();
  readonly #removing = new Map<number, Promise<void>>();
  readonly #retries = new Map<number, Timer>();
  readonly #unwatch: () => void;

  private constructor(parts: Parts) {
    this.#parts = parts;
    this.#unwatch = parts.metadata.watchAttachments(() => this.#follow());
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
  add(attachment: Attachment): Promise<void> {
    return this.#opening.get(attachment.id) ?? this.#open(attachment);
  }

  remove(attachment: number): Promise<void> {
    const removing = this.#removing.get(attachment) ?? this.#remove(attachment);
    this.#removing.set(attachment, removing);
    return removing.finally(() => this.#removing.delete(attachment));
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

  /** Other nodes of a cluster attach and detach too. */
  #follow(): void {
    const attachments = this.#parts.metadata.attachments();
    const ids = new Set(attachments.map(({ id }) => id));
    for (const id of this.#known) if (!ids.has(id)) void this.remove(id);
    for (const attachment of attachments) {
      const { id } = attachment;
      if (!this.#known.has(id) || this.#away.has(id)) void this.#openAgain(attachment);
    }
  }

  /** Never rejects: the reason is kept, and it is tried again. */
  async #openAgain(attachment: Attachment): Promise<void> {
    const { id, path } = attachment;
    const { log, clock } = this.#parts;
    if (this.#opening.has(id)) return;
    try {
      await this.#open(attachment);
      log.info('source opened', { path });
    } catch (thrown) {
      if (!this.#isAttached(id)) return;
      this.#setAway(attachment, asMillpoolError(thrown));
      this.#retries.set(
        id,
        clock.after(retryMs, () => void this.#openAgain(attachment)),
      );
    }
  }

  #open(attachment: Attachment): Promise<void> {
    const opening = this.#engage(attachment).finally(() => this.#opening.delete(attachment.id));
    this.#opening.set(attachment.id, opening);
    return opening;
  }

  async #engage(attachment: Attachment): Promise<void> {
    const { engine, metadata } = this.#parts;
    const { id } = attachment;
    const storage = await metadata.underStorage(id);
    const credentials = await storage.credentials();
    const isOpen = this.#known.has(id) && !this.#away.has(id);
    if (isOpen || !this.#isAttached(id)) return;
    engine.attach(id, { ...termsOf(attachment), source: storage.address });
    this.#known.add(id);
    if (storage.scheme === 's3') this.#feeds.set(id, new CredentialFeed(id, { storage, credentials }, this.#parts));
    this.#away.delete(id);
  }

  #isAttached(id: number): boolean {
    return this.#parts.metadata.attachments().some((attachment) => attachment.id === id);
  }

  async #remove(attachment: number): Promise<void> {
    this.#retries.get(attachment)?.cancel();
    this.#retries.delete(attachment);
    await this.#opening.get(attachment)?.catch(() => undefined);
    this.#away.delete(attachment);
    if (this.#known.delete(attachment)) this.#parts.engine.detach(attachment);
    const feed = this.#feeds.get(attachment);
    this.#feeds.delete(attachment);
    await feed?.stop();
  }

  #setAway(attachment: Attachment, error: MillpoolError): void {
    const { id } = attachment;
    this.#away.set(id, error.shape);
    this.#known.add(id);
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
