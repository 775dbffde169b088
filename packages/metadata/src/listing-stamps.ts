import { randomUUID } from 'node:crypto';

import type { Directory } from './directory.ts';
import type { DirectoryRecord } from './store/records.ts';

/**
 * What tells one content of a directory from another, for those that have a copy of it: the same as long as nothing of
 * it changes and this process lives.
 */
export class ListingStamps {
  readonly #process = randomUUID();
  readonly #stamps = new Map<string, { readonly stamp: string; readonly generation: number }>();
  #last = 0;

  of({ text }: Directory, { generation }: DirectoryRecord): string {
    const known = this.#stamps.get(text);
    if (known?.generation === generation) return known.stamp;
    const stamp = `${this.#process} ${(this.#last += 1)}`;
    this.#stamps.set(text, { stamp, generation });
    return stamp;
  }

  /** Its generations begin again. */
  forget({ text }: Directory): void {
    this.#stamps.delete(text);
  }
}
