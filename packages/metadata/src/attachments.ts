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
  attachmentRecords,
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

/** The table of attachments: which source is where. Kept in the coordination store; no two overlap. */
export class Attachments {
  readonly #parts: Parts;
  readonly #byPath = new Map<string, Attached>();
  readonly #listeners = new Set<() => void>();
  readonly #locks = new Locks();

  private constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Those made earlier come back; a source that cannot be reached now is tried again. */
  static async open(parts: Parts): Promise<Attachments> {
    const attachments = new Attachments(parts);
    for (const { value } of await attachmentRecords(parts.coordination))
      attachments.#take(decodeAttachment(value), null);
    for (const attached of attachments.#byPath.values()) attached.storage().catch(() => {});
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
      const attached = this.#byPath.get(path);
      if (attached === undefined) throw nothingAt(path);
      await this.#parts.coordination.txn({
        compare: [],
        then: [{ kind: 'delete', key: attachmentKey(path) }],
        otherwise: [],
      });
      this.#byPath.delete(path);
      await attached.end(detached(path));
      this.#parts.log.info('attachment ended', { path, id: attached.attachment.id });
      this.#tell();
      return attached.attachment;
    });
  }

  async stop(): Promise<void> {
    const stopped = new MillpoolError({
      code: 'closed',
      message: 'the metadata service has stopped',
      remedy: 'Start it again.',
    });
    await Promise.all(this.current().map((attached) => attached.end(stopped)));
  }

  #take(attachment: Attachment, storage: UnderStorage | null): void {
    const { open, clock, log } = this.#parts;
    const parts = { open, clock, log, onOpened: () => this.#tell() };
    this.#byPath.set(attachment.path, new Attached(attachment, parts, storage));
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
      const { succeeded } = await coordination.txn({
        compare: [{ kind: 'mod-revision', key: lastAttachmentKey, modRevision: last?.modRevision ?? 0 }],
        then: [
          { kind: 'put', key: lastAttachmentKey, value: Buffer.from(String(id)) },
          { kind: 'put', key: attachmentKey(path), value: encodeAttachment(attachment) },
        ],
        otherwise: [],
      });
      if (succeeded) return attachment;
      this.#checkFree(path, request);
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
