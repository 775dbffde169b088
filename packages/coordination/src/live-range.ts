import type { Clock, Log } from '@millpool/host';

import { CompactedError } from './compacted-error.ts';
import { GroupedMap } from './grouped-map.ts';
import type { Change, CoordStore, KeyValue } from './store.ts';

/** Of more, what a page shows may be newer than what the page before it does, until the watch has caught up. */
const entriesAtOnce = 2_000;
const retryMs = 500;
/** What a watch that is well has shown by then. */
const watchMs = 300;

interface Parts<T> {
  /** Throws where a value is none: then it is as if its key were not there. */
  readonly decode: (entry: KeyValue) => T;
  readonly store: CoordStore;
  readonly prefix: string;
  readonly clock: Clock;
  readonly log: Log;
}

/** All that is below a prefix, as it was at some moment, and kept up by a watch. While the store is away it stands. */
export class LiveRange<T> {
  readonly #parts: Parts<T>;
  readonly #stop = new AbortController();
  readonly #listeners = new Set<() => void>();
  #entries = new GroupedMap<T>();
  #revision = 0;

  private constructor(parts: Parts<T>) {
    this.#parts = parts;
  }

  static async open<T>(parts: Parts<T>): Promise<LiveRange<T>> {
    const range = new LiveRange(parts);
    await range.refresh();
    void range.#follow();
    return range;
  }

  /** By what their keys have after the prefix. */
  get entries(): ReadonlyMap<string, T> {
    return this.#entries.all;
  }

  /** Those of which that begins with `group`, a name with a slash at its end. */
  below(group: string): ReadonlyMap<string, T> {
    return this.#entries.below(group);
  }

  /** Names of records that are there, and of which `decode` made nothing. */
  get damaged(): ReadonlySet<string> {
    return this.#entries.damaged;
  }

  /** Nothing that was changed up to here is missing. */
  get revision(): number {
    return this.#revision;
  }

  /** Calls after each change. Gives what ends that. */
  listen(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Reads all of it: nothing that was changed before the call is missing after it. */
  async refresh(): Promise<void> {
    const { store, prefix } = this.#parts;
    const entries = new GroupedMap<T>();
    let revision: number | null = null;
    for (let after: string | null = null, more = true; more;) {
      const page = await store.range({ prefix, limit: entriesAtOnce, after });
      for (const entry of page.entries) this.#put(entries, entry);
      revision ??= page.revision;
      more = page.more;
      after = page.entries.at(-1)?.key ?? null;
    }
    if (revision === null || revision < this.#revision) return;
    this.#entries = entries;
    this.#revision = revision;
    this.#tell();
  }

  /**
   * Nothing that was changed up to a revision is missing after it, where that revision changed something of this range.
   * The watch shows it at no cost; all is read only where that takes long.
   */
  reach(revision: number): Promise<void> {
    return this.until(() => this.#revision >= revision);
  }

  /** The same, of what was changed by somebody who did not tell the revision: it is so after it, or not so yet. */
  async until(isSo: () => boolean): Promise<void> {
    if (isSo()) return;
    const over = new AbortController();
    const late = this.#parts.clock.sleep(watchMs, over.signal).catch(() => undefined);
    let end = (): void => undefined;
    const reached = new Promise<void>((resolve) => {
      end = this.listen(() => {
        if (isSo()) resolve();
      });
    });
    await Promise.race([reached, late]);
    end();
    over.abort();
    if (!isSo()) await this.refresh();
  }

  close(): void {
    this.#stop.abort();
  }

  async #follow(): Promise<void> {
    const { store, prefix, clock, log } = this.#parts;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        const watch = { prefix, fromRevision: this.#revision + 1, signal };
        for await (const change of store.watch(watch)) this.#apply(change);
      } catch (error) {
        if (signal.aborted) return;
        log.warn('a watch of the coordination store begins anew', { prefix, error });
        await clock.sleep(retryMs, signal).catch(() => undefined);
        // What was changed meanwhile may be forgotten.
        if (error instanceof CompactedError) await this.refresh().catch(() => undefined);
      }
    }
  }

  #apply({ revision, events }: Change): void {
    // A refresh has shown it already.
    if (revision <= this.#revision) return;
    for (const event of events) {
      if (event.kind === 'put') this.#put(this.#entries, event.entry);
      else this.#entries.delete(event.key.slice(this.#parts.prefix.length));
    }
    this.#revision = revision;
    this.#tell();
  }

  #put(entries: GroupedMap<T>, entry: KeyValue): void {
    const { prefix, decode, log } = this.#parts;
    const name = entry.key.slice(prefix.length);
    try {
      entries.set(name, decode(entry));
    } catch (error) {
      entries.delete(name);
      entries.damaged.add(name);
      log.error('a record of the coordination store is passed over', { key: entry.key, error });
    }
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}
