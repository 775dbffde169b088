import type { Log } from '@millpool/host';
import type { CopyPlace } from '@millpool/protocol';

import type { Attached } from './attached.ts';
import type { Directory } from './directory.ts';
import type { OnListed } from './flight.ts';
import { addPart } from './listing-copy.ts';
import type { ListingCopies, ListingCopy } from './listing-copy.ts';
import type { MetadataStore } from './store/environment.ts';
import { directoryKey } from './store/keys.ts';
import { encodeDirectory } from './store/records.ts';
import type { DirectoryRecord } from './store/records.ts';
import type { Turns } from './turns.ts';
import type { Update } from './update.ts';

interface Parts {
  readonly store: MetadataStore;
  readonly turns: Turns;
  readonly log: Log;
  /** Milliseconds since 1970, never going back. */
  readonly nowMs: () => number;
  readonly record: (directory: Directory) => DirectoryRecord | null;
  /** The directory becomes what `add` adds, when that has ended. */
  readonly take: (directory: Directory, listedAtMs: number, add: (update: Update) => Promise<void>) => Promise<void>;
}

interface Asked {
  readonly floorMs: number;
  readonly tell: OnListed;
}

/** Takes in listings as other nodes have them. What has not changed since the last time is not sent again. */
export class CopiedListings {
  readonly #parts: Parts;
  #copies: ListingCopies | null = null;
  /** By the directories' ids in hex: the stamp of what was copied, and the generation that it became here. */
  readonly #taken = new Map<string, { readonly stamp: string; readonly generation: number }>();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  copyFrom(copies: ListingCopies): void {
    this.#copies = copies;
  }

  /** False: nobody has one that began at the floor or later. The directory's lock is held. */
  async take({ signal }: Attached, directory: Directory, { floorMs, tell }: Asked): Promise<boolean> {
    const { nowMs, log } = this.#parts;
    if (this.#copies === null) return false;
    const askedMs = nowMs();
    const maxAgeSeconds = floorMs === Number.NEGATIVE_INFINITY ? null : Math.max(0, askedMs - floorMs) / 1_000;
    const kept = this.#asTaken(directory);
    try {
      const copy = await this.#copies.open(directory, { maxAgeSeconds, known: kept?.stamp ?? null }, signal);
      if (copy === null) return false;
      const listedAtMs = askedMs - 1_000 * copy.first.ageSeconds;
      if (kept !== null && copy.first.isUnchanged) await this.#renew(directory, kept.record, listedAtMs);
      else await this.#takeIn(directory, copy, { listedAtMs, tell, signal });
      return true;
    } catch (error) {
      signal.throwIfAborted();
      log.warn('a copy of a listing came to nothing: the source is listed', { path: directory.path, error });
      return false;
    }
  }

  /** Of what was copied, as long as it is that; null: it was listed here, or has changed since. */
  stampOf(directory: Directory): string | null {
    return this.#asTaken(directory)?.stamp ?? null;
  }

  /** Its generations begin again. */
  forget({ text }: Directory): void {
    this.#taken.delete(text);
  }

  /** Null where there is nothing, or it has changed here since it was copied. */
  #asTaken(directory: Directory): { readonly stamp: string; readonly record: DirectoryRecord } | null {
    const record = this.#parts.record(directory);
    const taken = this.#taken.get(directory.text);
    if (record?.state !== 'complete' || record.generation !== taken?.generation) return null;
    return { stamp: taken.stamp, record };
  }

  async #renew(directory: Directory, record: DirectoryRecord, listedAtMs: number): Promise<void> {
    const value = encodeDirectory({ ...record, listedAtMs: Math.max(record.listedAtMs, listedAtMs) });
    await this.#parts.store.write([{ key: directoryKey(directory), value }]);
  }

  async #takeIn(
    directory: Directory,
    copy: ListingCopy,
    { listedAtMs, tell, signal }: { listedAtMs: number; tell: OnListed; signal: AbortSignal },
  ): Promise<void> {
    const { take, turns, record } = this.#parts;
    const { stamp } = copy.first;
    let isOne = true;
    this.#taken.delete(directory.text);
    await take(directory, listedAtMs, async (update) => {
      let files = 0;
      let after: CopyPlace | null = null;
      for (let part = copy.first; ; part = await copy.more(after)) {
        isOne &&= part.stamp === stamp;
        tell((files += addPart(update, part, after)));
        await update.settle();
        await turns.next(signal);
        if (part.next === null) return;
        after = part.next;
      }
    });
    const { generation = 0 } = record(directory) ?? {};
    // One that changed while it was copied is of two listings.
    if (isOne) this.#taken.set(directory.text, { stamp, generation });
  }
}
