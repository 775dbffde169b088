import type { Clock, Log } from '@millpool/host';
import type { Metadata } from '@millpool/metadata';
import type { Engine } from '@millpool/native';
import type { Attachment } from '@millpool/protocol';

import { CredentialFeed } from './credentials.ts';

interface Parts {
  readonly engine: Engine;
  readonly metadata: Metadata;
  readonly clock: Clock;
  readonly log: Log;
}

/** Keeps the engine's sources the same as the namespace's attachments. */
export class AttachedSources {
  readonly #parts: Parts;
  readonly #feeds = new Map<number, CredentialFeed>();

  private constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** A source that cannot be reached now does not keep the daemon from starting; it is said in the log. */
  static async start(parts: Parts): Promise<AttachedSources> {
    const sources = new AttachedSources(parts);
    for (const attachment of parts.metadata.attachments()) {
      await sources.add(attachment).catch((error: unknown) => {
        parts.log.warn('source not reachable', { path: attachment.path, error: String(error) });
      });
    }
    return sources;
  }

  /** Throws what opening the source throws: credentials that are missing, a bucket that is not there. */
  async add(attachment: Attachment): Promise<void> {
    const { engine, metadata } = this.#parts;
    const storage = await metadata.underStorage(attachment.id);
    const admit = attachment.policy !== 'stream';
    engine.attach(attachment.id, { identity: attachment.identity, source: storage.native, admit });
    if (storage.scheme === 's3') {
      this.#feeds.set(attachment.id, await CredentialFeed.start(attachment.id, storage, this.#parts));
    }
  }

  async remove(attachment: number): Promise<void> {
    this.#parts.engine.detach(attachment);
    await this.#feeds.get(attachment)?.stop();
    this.#feeds.delete(attachment);
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#feeds.values()].map((feed) => feed.stop()));
    this.#feeds.clear();
  }
}
