import type { Log } from '@millpool/host';
import { formatDurationMs, formatFreshness, MillpoolError, nameOfBytes } from '@millpool/protocol';
import { RangedListing } from '@millpool/under-storage';
import type { UnderStorage } from '@millpool/under-storage';

import type { Attached } from './attached.ts';
import { Changes } from './changes.ts';
import { CopiedListings } from './copied-listings.ts';
import { childOf } from './directory.ts';
import type { Directory } from './directory.ts';
import { FirstListing } from './first-listing.ts';
import { Flight } from './flight.ts';
import type { OnListed } from './flight.ts';
import { fillBelow } from './flat-listing.ts';
import type { OpenDirectory } from './flat-listing.ts';
import type { HotNames } from './hot-names.ts';
import { ListingStamps } from './listing-stamps.ts';
import { Locks } from './locks.ts';
import { Relisting } from './relisting.ts';
import { SkippedKeys } from './skipped.ts';
import { directoriesIn, directoryKey, entryClasses } from './store/keys.ts';
import { decodeDirectory } from './store/records.ts';
import type { DirectoryRecord } from './store/records.ts';
import { WriteBuffer } from './store/write-buffer.ts';
import { nameOfOrder } from './stored-entry.ts';
import type { Turns } from './turns.ts';
import type { Shelf, Update } from './update.ts';

const directoriesAtOnce = 256;

interface Parts {
  readonly shelf: Shelf;
  readonly names: HotNames;
  readonly shards: number;
  /** Milliseconds since 1970, never going back. */
  readonly nowMs: () => number;
  readonly log: Log;
  /** Of one listing under way at the same time, at most. */
  readonly listsAtOnce: number;
  readonly turns: Turns;
}

interface EnsureRequest {
  readonly floorMs: number;
  readonly signal: AbortSignal;
  /** While it is listed. */
  readonly onListed?: OnListed;
}

interface ListingRequest {
  readonly directory: Directory;
  readonly recursive: boolean;
  /** Only keys strictly after this one. */
  readonly after?: Uint8Array | null;
  readonly signal: AbortSignal;
}

/**
 * Lists directories of the sources into the store, each at most once at a time however many ask. A listing goes on when
 * those who asked for it give up: the next one to ask finds it further.
 */
export class Listings {
  readonly stamps = new ListingStamps();
  readonly copied: CopiedListings;
  readonly #shelf: Shelf;
  readonly #names: HotNames;
  readonly #shards: number;
  readonly #nowMs: () => number;
  readonly #log: Log;
  readonly #listsAtOnce: number;
  readonly #turns: Turns;
  readonly #locks = new Locks();
  readonly #flights = new Map<string, Flight>();

  constructor(parts: Parts) {
    this.#shelf = parts.shelf;
    this.#names = parts.names;
    this.#shards = parts.shards;
    this.#nowMs = parts.nowMs;
    this.#log = parts.log;
    this.#listsAtOnce = parts.listsAtOnce;
    this.#turns = parts.turns;
    this.copied = new CopiedListings({
      ...parts,
      store: parts.shelf.store,
      record: (directory) => this.record(directory),
      take: (directory, listedAtMs, add) => this.#take(directory, listedAtMs, add),
    });
  }

  /**
   * What is stored of a directory, if it is the whole of a listing that began at `floorMs` or later. One that began in
   * the future was written before the wall clock was set back, so that its age is not known.
   */
  fresh(directory: Directory, floorMs: number): DirectoryRecord | null {
    const record = this.record(directory);
    if (record?.state !== 'complete' || record.listedAtMs < floorMs) return null;
    return floorMs === Number.NEGATIVE_INFINITY || record.listedAtMs <= this.#nowMs() ? record : null;
  }

  /** The same, listed now unless it is there. Rejects with what the LIST failed of. */
  async ensure(attached: Attached, directory: Directory, request: EnsureRequest): Promise<DirectoryRecord> {
    return this.#ensure(request, `one ${directory.text}`, {
      found: () => this.fresh(directory, request.floorMs),
      list: (tell) =>
        this.#locks.hold(directory.text, async () => {
          const isThere = await this.copied.take(attached, directory, { floorMs: request.floorMs, tell });
          if (!isThere && directory.part !== null) throw noCopy(directory.path);
          if (!isThere) await this.#timed(attached, directory, () => this.#listOne(attached, directory, tell));
        }),
    });
  }

  /** The same for all that is below it too. */
  async ensureBelow(attached: Attached, directory: Directory, request: EnsureRequest): Promise<DirectoryRecord> {
    return this.#ensure(request, `below ${directory.text}`, {
      found: () => {
        const record = this.fresh(directory, request.floorMs);
        return record !== null && record.subtreeListedAtMs >= Math.max(1, request.floorMs) ? record : null;
      },
      list: (tell) => this.#timed(attached, directory, () => this.#listBelow(attached, directory, tell)),
    });
  }

  /** Resolves when nothing is being listed any more; what fails meanwhile was told to those who asked. */
  async settled(): Promise<void> {
    while (this.#flights.size > 0) await Promise.allSettled([...this.#flights.values()].map(({ ended }) => ended));
  }

  /** All that is stored of a directory, and of those below it that its listing leads to. */
  async forget(directory: Directory): Promise<void> {
    await this.#locks.hold(directory.text, async () => {
      const record = this.record(directory);
      if (record === null) return;
      if (record.hasDirectories) await this.#forgetChildren(directory);
      this.stamps.forget(directory);
      this.copied.forget(directory);
      this.#names.changed(directory);
      await this.#shelf.partitions.clear(directory);
      await this.#shelf.store.write([{ key: directoryKey(directory), value: null }]);
    });
  }

  /** A flight that began before the floor may end without being fresh enough; the one after it is. */
  async #ensure(
    { signal, onListed }: EnsureRequest,
    name: string,
    listing: { found: () => DirectoryRecord | null; list: (tell: OnListed) => Promise<void> },
  ): Promise<DirectoryRecord> {
    for (;;) {
      const record = listing.found();
      if (record !== null) return record;
      let flight = this.#flights.get(name);
      if (flight === undefined) {
        flight = new Flight((tell) => listing.list(tell).finally(() => this.#flights.delete(name)));
        this.#flights.set(name, flight);
      }
      await flight.wait(signal, onListed);
    }
  }

  /** What takes longer than it may be used afterwards is listed anew for each use: only its operator can help that. */
  async #timed({ attachment }: Attached, { path }: Directory, list: () => Promise<void>): Promise<void> {
    const beganMs = this.#nowMs();
    await list();
    const took = this.#nowMs() - beganMs;
    const { freshness } = attachment;
    if (freshness.kind !== 'ttl' || took < 1_000 * freshness.seconds) return;
    this.#log.warn(
      'a listing took longer than it may be used, so that each use lists again: attach with a longer ttl',
      {
        path,
        took: formatDurationMs(took),
        freshness: formatFreshness(freshness),
      },
    );
  }

  async #listOne(attached: Attached, directory: Directory, tell: OnListed): Promise<void> {
    const storage = await attached.storage();
    const { signal } = attached;
    const listing = this.pagesOf(storage, { directory, recursive: false, signal });
    const skipped = new SkippedKeys();
    await this.#take(directory, this.#nowMs(), async (update) => {
      let files = 0;
      for await (const page of listing.pages()) {
        update.addFiles(page.files);
        for (const prefix of page.directories) {
          update.addDirectory(nameOfBytes(prefix.subarray(directory.prefix.length, -1)));
        }
        skipped.add(page.skipped);
        tell((files += page.files.length));
        await update.settle();
        await this.#turns.next();
      }
      signal.throwIfAborted();
    });
    skipped.tell(this.#log, directory.path);
    this.#tellSequential(listing, directory);
  }

  /** The directory becomes what `add` adds, when that has ended. */
  async #take(directory: Directory, listedAtMs: number, add: (update: Update) => Promise<void>): Promise<void> {
    const buffer = new WriteBuffer(this.#shelf.store);
    const { former, update } = await this.#begin(directory, buffer);
    let gone: readonly string[];
    try {
      await add(update);
      gone = await update.finish({ listedAtMs, subtreeListedAtMs: former?.subtreeListedAtMs ?? 0 });
      await buffer.flush();
    } catch (error) {
      await update.abandon();
      // What is being written comes to disk under the lock, or the next listing would not know of it.
      await buffer.flush().catch(() => undefined);
      throw error;
    } finally {
      this.#compare(directory, former);
    }
    await this.#forgetGone(directory, gone);
  }

  async #listBelow(attached: Attached, root: Directory, tell: OnListed): Promise<void> {
    const storage = await attached.storage();
    const buffer = new WriteBuffer(this.#shelf.store);
    const skipped = new SkippedKeys();
    const listing = this.pagesOf(storage, { directory: root, recursive: true, signal: attached.signal });
    try {
      await fillBelow({
        root,
        listing,
        shards: this.#shards,
        listedAtMs: this.#nowMs(),
        skipped,
        turns: this.#turns,
        tell,
        open: (directory) => this.#open(directory, buffer),
      });
      skipped.tell(this.#log, root.path);
      this.#tellSequential(listing, root);
    } finally {
      await buffer.flush();
    }
  }

  /** All pages of a directory, or of all below it, in as many ranges at once as are allowed. */
  pagesOf(storage: UnderStorage, { directory, recursive, after = null, signal }: ListingRequest): RangedListing {
    // A folder's names come out of one walk; ranges would read its directories again.
    const atOnce = storage.scheme === 's3' ? this.#listsAtOnce : 1;
    return new RangedListing(storage, { prefix: directory.prefix, recursive, after, atOnce, signal });
  }

  #tellSequential({ isSequential }: RangedListing, { path }: Directory): void {
    if (!isSequential) return;
    this.#log.warn('the source changes while it is listed, or does not begin where it is told to: listed slowly', {
      path,
    });
  }

  /** Under its lock until what it became is on disk: who gets the lock next reads it there. */
  async #open(directory: Directory, buffer: WriteBuffer): Promise<OpenDirectory> {
    const release = await this.#locks.acquire(directory.text);
    try {
      const { former, update } = await this.#begin(directory, buffer);
      return {
        directory,
        update,
        finish: async (times) => {
          const gone = await update.finish(times);
          await this.#forgetGone(directory, gone);
          buffer.whenFlushed(() => {
            this.#compare(directory, former);
            release();
          });
        },
        abandon: async () => {
          await update.abandon();
          buffer.whenFlushed(release);
        },
      };
    } catch (error) {
      release();
      throw error;
    }
  }

  /** With what was stored of it before: names that are kept elsewhere too are known no longer where it changed. */
  #compare(directory: Directory, former: DirectoryRecord | null): void {
    const now = this.record(directory);
    if (former?.state === 'complete' && now?.state === 'complete' && former.generation === now.generation) return;
    this.#names.changed(directory);
  }

  async #begin(directory: Directory, buffer: WriteBuffer): Promise<{ former: DirectoryRecord | null; update: Update }> {
    let former = this.record(directory);
    if (former?.state === 'applying') {
      await this.#forgetGone(directory, await Changes.resume(this.#shelf, directory, former));
      former = this.record(directory);
    }
    const request = { directory, former, buffer };
    const update =
      former?.state === 'complete'
        ? await Relisting.begin(this.#shelf, request, former)
        : await FirstListing.begin(this.#shelf, request);
    return { former, update };
  }

  async #forgetGone(directory: Directory, names: readonly string[]): Promise<void> {
    for (const name of names) await this.forget(childOf(directory, name, this.#shards));
  }

  async #forgetChildren(directory: Directory): Promise<void> {
    const kinds = [entryClasses.directory];
    const scan = this.#shelf.entries.scan(directory, { kinds, from: '', to: null });
    for (let { head } = scan; head !== null; { head } = scan) {
      scan.pass();
      await this.forget(childOf(directory, nameOfOrder(head.order), this.#shards));
    }
  }

  /** The same, if it is or was the whole of a listing. */
  listed(directory: Directory): DirectoryRecord | null {
    const record = this.record(directory);
    return record === null || record.state === 'listing' ? null : record;
  }

  /** Of directories that have their home in a shard: what is stored, however old. */
  *storedIn(shard: number): Generator<readonly DirectoryRecord[]> {
    for (const chunk of this.#shelf.store.chunks(directoriesIn(shard), directoriesAtOnce)) {
      yield chunk.map(({ value }) => decodeDirectory(value));
    }
  }

  /** What is stored of a directory, however old. */
  record(directory: Directory): DirectoryRecord | null {
    const record = this.#shelf.store.get(directoryKey(directory));
    return record === undefined ? null : decodeDirectory(record);
  }
}

function noCopy(path: string): MillpoolError {
  return new MillpoolError({
    code: 'unreachable',
    message: `no node gives a copy of the listing of ${path}`,
    remedy: 'See `millpool admin nodes`. It is answered for by the owner of its home.',
    path,
  });
}
