import type { Engine } from '@millpool/native';
import { packObjects } from '@millpool/native';
import type { Metadata, ResolvedEntry } from '@millpool/metadata';
import type { Log } from '@millpool/host';

import type { Plans } from './plans.ts';

interface Parts {
  readonly engine: Engine;
  readonly metadata: Metadata;
  readonly plans: Plans;
  readonly log: Log;
}

/** Of lists of what was replaced; when there is more, the oldest is left to eviction. */
const listsBytesMax = 16 * 1024 ** 2;

/**
 * Versions of files that their sources no longer have. Their records stay as long as there is room, since a dataset
 * version may name them; once somebody wants room they are forgotten, but for those that an open plan reads.
 */
export class Replaced {
  readonly #parts: Parts;
  readonly #unwatch: () => void;
  #lists: Uint8Array[] = [];
  #listsBytes = 0;
  /** Dataset versions that plans had open when what is left was found to be theirs; null: it was not looked at. */
  #heldBy: string | null = null;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#unwatch = parts.metadata.watchReplaced((files) => this.#note(files));
  }

  stop(): void {
    this.#unwatch();
  }

  /** Makes garbage of them. */
  async forget(): Promise<void> {
    const versions = this.#parts.plans.versions();
    const held = versions.join(' ');
    if (this.#lists.length === 0 || held === this.#heldBy) return;
    const lists = this.#lists;
    this.#lists = [];
    this.#listsBytes = 0;
    const left: Uint8Array[] = [];
    const freed = { records: 0, bytes: 0 };
    for (const list of lists) {
      try {
        const { records, bytes, held: heldRecords } = await this.#parts.engine.forgetReplaced(list, versions);
        freed.records += records;
        freed.bytes += bytes;
        if (heldRecords > 0) left.push(list);
      } catch (error) {
        // What it was attached to is gone, and with that all that is said of it here.
        this.#parts.log.debug('replaced versions are left to eviction', { error: String(error) });
      }
    }
    // Those that came meanwhile have not been looked at.
    this.#heldBy = this.#lists.length === 0 ? held : null;
    for (const list of left) this.#add(list);
    if (freed.records > 0) this.#parts.log.info('versions forgotten that their source no longer has', freed);
  }

  #note(files: readonly ResolvedEntry[]): void {
    this.#heldBy = null;
    this.#add(packObjects(files));
  }

  #add(list: Uint8Array): void {
    this.#lists.push(list);
    this.#listsBytes += list.length;
    while (this.#listsBytes > listsBytesMax) this.#listsBytes -= this.#lists.shift()?.length ?? this.#listsBytes;
  }
}
