import type { Clock, Log } from '@millpool/host';
import type { NamesPart } from '@millpool/protocol';

import type { LocalMetadata } from '../start.ts';

interface Parts {
  readonly local: LocalMetadata;
  readonly clock: Clock;
  readonly log: Log;
}

const retryMs = 1_000;

/** Copies of directories, or of parts of them, from which this node answers without being the owner of their homes. */
export class KeptCopies {
  readonly #parts: Parts;
  readonly #stop = new AbortController();
  readonly #making = new Set<string>();
  readonly #retryAtMs = new Map<string, number>();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** It is there, and fresh. One that is not, or has half of its time behind it, is made meanwhile. */
  has(path: string, part: NamesPart | null): boolean {
    const { seconds, limitSeconds } = this.#parts.local.directories.age(path, part);
    const maxAgeSeconds = limitSeconds / 2;
    if (seconds === null || seconds > maxAgeSeconds) void this.#make(path, part, maxAgeSeconds);
    return seconds !== null;
  }

  close(): void {
    this.#stop.abort();
  }

  async #make(path: string, part: NamesPart | null, limitSeconds: number): Promise<void> {
    const { local, clock, log } = this.#parts;
    const key = `${part === null ? '' : `${part.index}/${part.count}`} ${path}`;
    if (this.#making.has(key) || clock.monotonicMs() < (this.#retryAtMs.get(key) ?? 0)) return;
    this.#making.add(key);
    const maxAgeSeconds = Number.isFinite(limitSeconds) ? limitSeconds : null;
    try {
      await local.directories.ensure({ path, part, maxAgeSeconds }, this.#stop.signal);
      this.#retryAtMs.delete(key);
    } catch (error) {
      this.#retryAtMs.set(key, clock.monotonicMs() + retryMs);
      log.debug('a directory is not copied yet', { path, error });
    } finally {
      this.#making.delete(key);
    }
  }
}
