import { LiveRange } from '@millpool/coordination';
import type { CoordStore } from '@millpool/coordination';
import type { Clock, Log } from '@millpool/host';
import { isBelow, MillpoolError, nameOfBytes } from '@millpool/protocol';
import type { Attachment, AttachRequest } from '@millpool/protocol';
import { parseSource, sourceName } from '@millpool/under-storage';
import type { UnderStorage } from '@millpool/under-storage';

import { Attached } from './attached.ts';
import type { OpenUnderStorage } from './attached.ts';
import {
  attachmentKey,
  attachmentPrefix,
  decodeAttachment,
  encodeAttachment,
  lastAttachmentKey,
} from './attachment-record.ts';
import { Locks } from './locks.ts';

interface Parts {
  readonly coordination: CoordStore;
  readonly open: OpenUnderStorage;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * The table of attachments: which source is where. Kept in the coordination store, where other nodes may change it; no
 * two overlap.
 */
export class Attachments {
  readonly #parts: Parts;
  readonly #records: LiveRange<Attachment>;
  readonly #byPath = new Map<string, Attached>();
  /** Of the last change that was made here: records of before it are not believed. */
  #revision = 0;
  readonly #unlisten: () => void;
  readonly #listeners = new Set<() => void>();
  readonly #locks = new Locks();

  private constructor(parts: Parts, records: LiveRange<Attachment>) {
    this.#parts = parts;
    this.#records = records;
    this.#unlisten = records.listen(() => {
      const following = this.#locks.hold('attach', () => this.#follow());
      following.catch((error: unknown) => parts.log.error('what others attached is not followed', { error }));
    });
  }

  /** Those made earlier come back; a source that cannot be reached now is tried again. */
  static async open(parts: Parts): Promise<Attachments> {
    const { coordination: store, clock, log } = parts;
    const decode = ({ value }: { readonly value: Uint8Array }): Attachment => decodeAttachment(value);
    const records = await LiveRange.open({ store, prefix: attachmentPrefix, decode, clock, log });
    const attachments = new Attachments(parts, records);
    await attachments.#follow();
    return attachments;
  }

  /** In the order of their paths. */
  current(): readonly Attached[] {
    return [...this.#byPath.values()].toSorted((left, right) =>
      left.attachment.path < right.attachment.path ? -1 : 1,
    );
  }

  /** The one that a path is at or below. */
  covering(path: string): Attached | null {
    for (let at = path; at !== ''; at = at.slice(0, Math.max(0, at.lastIndexOf('/')))) {
      const attached = this.#byPath.get(at);
      if (attached !== undefined) return attached;
    }
    return null;
  }

  /** Those strictly below a path. */
  below(path: string): readonly Attached[] {
    return this.current().filter(({ attachment }) => isBelow(attachment.path, path));
  }

  byId(id: number): Attached {
    for (const attached of this.#byPath.values()) if (attached.attachment.id === id) return attached;
    throw new MillpoolError({
      code: 'not-found',
      message: `there is no attachment ${id}`,
      remedy: 'It was detached; `millpool attachments` shows those that are.',
    });
  }

  /** Calls after each attach and detach, and when a source can be reached again. Gives what ends that. */
  watch(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async attach(request: AttachRequest): Promise<Attachment> {
    const path = request.path ?? `/${nameOfBytes(Buffer.from(sourceName(parseSource(request.source))))}`;
    return this.#locks.hold('attach', async () => {
      await this.#refresh();
      this.#checkFree(path, request);
      const storage = await this.#parts.open(request.source, request.s3);
      try {
        const attachment = await this.#record(path, request, storage);
        this.#take(attachment, storage);
        this.#parts.log.info('attachment made', { path, source: attachment.source, id: attachment.id });
        this.#tell();
        return attachment;
      } catch (error) {
        await storage.close();
        throw error;
      }
    });
  }

  /** Gives what was there; its look-ups and listings under way end with `cancelled`. */
  async detach(path: string): Promise<Attachment> {
    return this.#locks.hold('attach', async () => {
      await this.#refresh();
      const attached = this.#byPath.get(path);
      if (attached === undefined) throw nothingAt(path);
      const { revision } = await this.#parts.coordination.txn({
        compare: [],
        then: [{ kind: 'delete', key: attachmentKey(path) }],
        otherwise: [],
      });
      this.#revision = revision;
      await this.#end(attached);
      this.#tell();
      return attached.attachment;
    });
  }

  /** Nothing that another node attached or detached before the call is missing after it. */
  async refresh(): Promise<void> {
    await this.#locks.hold('attach', () => this.#refresh());
  }

  async stop(): Promise<void> {
    this.#unlisten();
    this.#records.close();
    const stopped = new MillpoolError({
      code: 'closed',
      message: 'the metadata service has stopped',
      remedy: 'Start it again.',
    });
    await Promise.all(this.current().map((attached) => attached.end(stopped)));
  }

  async #refresh(): Promise<void> {
    if (!this.#parts.coordination.supports.shared) return;
    await this.#records.refresh();
    await this.#follow();
  }

  /** Takes over what others changed. The lock is held. */
  async #follow(): Promise<void> {
    if (this.#records.revision < this.#revision) return;
    const records = [...this.#records.entries.values()];
    const ids = new Set(records.map(({ id }) => id));
    const gone = [...this.#byPath.values()].filter(({ attachment: { id } }) => !ids.has(id));
    for (const attached of gone) await this.#end(attached);
    const made = records.filter(({ id, path }) => this.#byPath.get(path)?.attachment.id !== id);
    for (const attachment of made)
      this.#take(attachment, null)
        .storage()
        .catch(() => {});
    if (gone.length + made.length > 0) this.#tell();
  }

  async #end(attached: Attached): Promise<void> {
    const { id, path } = attached.attachment;
    this.#byPath.delete(path);
    await attached.end(detached(path));
    this.#parts.log.info('attachment ended', { path, id });
  }

  #take(attachment: Attachment, storage: UnderStorage | null): Attached {
    const { open, clock, log } = this.#parts;
    const parts = { open, clock, log, onOpened: () => this.#tell() };
    const attached = new Attached(attachment, parts, storage);
    this.#byPath.set(attachment.path, attached);
    return attached;
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }

  /** The next id and the record in one transaction: of two who attach at once the slower begins again. */
  async #record(path: string, request: AttachRequest, storage: UnderStorage): Promise<Attachment> {
    const { coordination, clock } = this.#parts;
    const { freshness, policy, compression, readOnly, s3 } = request;
    for (;;) {
      const last = await coordination.get(lastAttachmentKey);
      const id = last === null ? 1 : Number(Buffer.from(last.value).toString()) + 1;
      const attachedAt = new Date(clock.nowMs()).toISOString();
      const identity = storage.identity();
      const kept = { freshness, policy, compression, readOnly, s3 };
      const attachment = { id, path, source: storage.source, identity, ...kept, attachedAt };
      // Whoever attached since has given a greater id.
      await this.#refresh();
      this.#checkFree(path, request);
      const { succeeded, revision } = await coordination.txn({
        compare: [{ kind: 'mod-revision', key: lastAttachmentKey, modRevision: last?.modRevision ?? 0 }],
        then: [
          { kind: 'put', key: lastAttachmentKey, value: Buffer.from(String(id)) },
          { kind: 'put', key: attachmentKey(path), value: encodeAttachment(attachment) },
        ],
        otherwise: [],
      });
      if (!succeeded) continue;
      this.#revision = revision;
      return attachment;
    }
  }

  #checkFree(path: string, { source }: AttachRequest): void {
    for (const { attachment } of this.#byPath.values()) {
      if (attachment.path === path) throw taken(source, attachment);
      if (isBelow(path, attachment.path) || isBelow(attachment.path, path)) throw nested(path, attachment);
    }
  }
}

function taken(source: string, { path, source: other }: Attachment): MillpoolError {
  return new MillpoolError({
    code: 'exists',
    message: `${source} cannot be attached at ${path}: ${other} is there`,
    remedy: 'Name another place with --at PATH, or detach that one first.',
    path,
  });
}

function nested(path: string, { path: other }: Attachment): MillpoolError {
  return new MillpoolError({
    code: 'invalid',
    message: `nothing can be attached at ${path}: ${other} is attached, and attachments do not lie inside each other`,
    remedy: 'Name a place beside it with --at PATH.',
    path,
  });
}

function nothingAt(path: string): MillpoolError {
  return new MillpoolError({
    code: 'not-found',
    message: `nothing is attached at ${path}`,
    remedy: 'See `millpool attachments`.',
    path,
  });
}

function detached(path: string): MillpoolError {
  return new MillpoolError({ code: 'cancelled', message: `${path} was detached meanwhile`, remedy: '', path });
}
