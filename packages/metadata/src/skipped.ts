import type { Log } from '@millpool/host';
import { pathOfKey } from '@millpool/protocol';
import { skipReasons } from '@millpool/under-storage';
import type { Skipped } from '@millpool/under-storage';

/** What one listing left out because it is no file that could be read. */
export class SkippedKeys {
  #count = 0;
  #first: Skipped | null = null;

  add(skipped: readonly Skipped[]): void {
    this.#count += skipped.length;
    this.#first ??= skipped[0] ?? null;
  }

  /** One line for all of them, none for none. */
  tell(log: Log, path: string): void {
    if (this.#first === null) return;
    const { key, why } = this.#first;
    log.warn('not everything was listed', { path, count: this.#count, first: pathOfKey(key), why: skipReasons[why] });
  }
}
