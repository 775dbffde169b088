import type { ResolvedEntry } from './resolved-entry.ts';

export type OnReplaced = (files: readonly ResolvedEntry[]) => void;

/** Files as they were before a listing had another version of them, or none: told to whoever keeps their bytes. */
export class ReplacedVersions {
  readonly #listeners = new Set<OnReplaced>();

  /** Gives what ends it. */
  watch(listener: OnReplaced): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  tell(files: readonly ResolvedEntry[]): void {
    if (files.length > 0) for (const listener of this.#listeners) listener(files);
  }
}
