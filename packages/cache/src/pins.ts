import type { CoordStore, KeyValue } from '@millpool/coordination';
import type { Clock, Log } from '@millpool/host';
import type { Metadata, ResolvedEntry } from '@millpool/metadata';
import { identityHash, packObjects } from '@millpool/native';
import type { Engine } from '@millpool/native';
import { formatBytes, isBelow, MillpoolError } from '@millpool/protocol';
import type { Pin } from '@millpool/protocol';

import { storedShare } from './tenants.ts';

interface Parts {
  readonly coordination: CoordStore;
  readonly engine: Engine;
  readonly metadata: Metadata;
  readonly clock: Clock;
  readonly log: Log;
}

/** In the coordination store: `pin/PATH` holds a pin as JSON. */
const pinPrefix = 'pin/';
const recordsAtOnce = 1_000;
/** A source that is away when the daemon starts comes back by itself. */
const retryMs = 5_000;

/**
 * The paths whose bytes are never evicted. The engine knows them record by record, and forgets that with its process:
 * they are marked again at each start, and until they are nothing of their attachments is given up.
 */
export class Pins {
  readonly #parts: Parts;
  readonly #pins = new Map<string, Pin>();
  readonly #unmarked = new Set<string>();
  readonly #stop = new AbortController();
  #marking: Promise<void> = Promise.resolve();

  private constructor(parts: Parts) {
    this.#parts = parts;
  }

  static async open(parts: Parts): Promise<Pins> {
    const pins = new Pins(parts);
    for (let after: string | null = null, more = true; more;) {
      const page = await parts.coordination.range({ prefix: pinPrefix, limit: recordsAtOnce, after });
      for (const record of page.entries) pins.#keep(decodePin(record));
      more = page.more;
      after = page.entries.at(-1)?.key ?? null;
    }
    for (const path of pins.#pins.keys()) pins.#unmarked.add(path);
    pins.#marking = pins.#markUnmarked();
    return pins;
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#marking;
  }

  /** In the order of their paths. */
  list(): readonly Pin[] {
    return [...this.#pins.values()].toSorted((left, right) => (left.path < right.path ? -1 : 1));
  }

  /** The pinned path that a path is at or below. */
  covering(path: string): string | null {
    for (const pinned of this.#pins.keys()) if (path === pinned || isBelow(path, pinned)) return pinned;
    return null;
  }

  /** Throws `refused` where a path is pinned, or holds or lies below what is. */
  checkFree(path: string): void {
    const covering = this.covering(path);
    if (covering !== null) throw isPinned(path, covering, covering === path ? 'is' : `is below ${covering}, which is`);
    const below = this.list().find((pin) => isBelow(pin.path, path));
    if (below !== undefined) throw isPinned(path, below.path, `holds ${below.path}, which is`);
  }

  /** Identities of which something is pinned and not marked yet: nothing of them may be given up. */
  get unmarkedIdentities(): ReadonlySet<string> {
    const attachments = this.#parts.metadata.attachments();
    const of = (path: string): readonly string[] =>
      attachments.filter((attached) => overlap(path, attached.path)).map(({ identity }) => identityHash(identity));
    return new Set([...this.#unmarked].flatMap(of));
  }

  /** Throws `full`, saying how much is missing, where not all that is pinned would fit. */
  async pin(path: string, signal: AbortSignal): Promise<Pin & { readonly cachedBytes: number }> {
    const counted = await this.#count(path, signal);
    this.#checkFits(path, counted.bytes);
    const pinnedAt = new Date(this.#parts.clock.nowMs()).toISOString();
    const pin = { path, files: counted.files, bytes: counted.bytes, pinnedAt };
    await this.#record(pin);
    this.#unmarked.add(path);
    await this.#mark(path, signal);
    return { ...pin, cachedBytes: counted.cachedBytes };
  }

  /** Of a path that was pinned itself: `not-found` otherwise. */
  async unpin(path: string, signal: AbortSignal): Promise<void> {
    if (!this.#pins.has(path)) throw this.#notPinned(path);
    const txn = { compare: [], then: [{ kind: 'delete', key: keyOf(path) } as const], otherwise: [] };
    await this.#parts.coordination.txn(txn);
    this.#pins.delete(path);
    this.#unmarked.delete(path);
    // What another pin holds as well is to stay: all that is left is marked again.
    for (const left of this.#pins.keys()) this.#unmarked.add(left);
    this.#parts.engine.unpinAll();
    for (const left of this.#pins.keys()) await this.#mark(left, signal);
  }

  /** Files that are about to be loaded: those that came below a pinned path since it was pinned are pinned too. */
  async pinNewcomers(files: readonly ResolvedEntry[]): Promise<readonly ResolvedEntry[]> {
    const pinned = this.#pins.size === 0 ? [] : files.filter(({ path }) => this.covering(path) !== null);
    if (pinned.length > 0) await this.#parts.engine.pin(packObjects(pinned));
    return pinned;
  }

  async #count(path: string, signal: AbortSignal): Promise<{ files: number; bytes: number; cachedBytes: number }> {
    const counted = { files: 0, bytes: 0, cachedBytes: 0 };
    for await (const files of this.#filesOf(path, signal)) {
      counted.files += files.length;
      counted.bytes += files.reduce((sum, { size }) => sum + size, 0);
      counted.cachedBytes += this.#parts.engine.residency(packObjects(files)).reduce((sum, bytes) => sum + bytes, 0);
    }
    return counted;
  }

  #checkFits(path: string, bytes: number): void {
    const all = this.#parts.engine.devices();
    const devices = all.filter(({ tier, state }) => tier === 'fast' && state !== 'failed');
    const capacity = devices.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    const others = this.list().filter((pin) => !overlap(pin.path, path));
    const outermost = others.filter((pin) => !others.some((other) => isBelow(pin.path, other.path)));
    // Below what is pinned already, nothing is added.
    const added = this.covering(path) === null ? bytes : 0;
    const pinned = outermost.reduce((sum, pin) => sum + pin.bytes, 0);
    const missing = Math.ceil((pinned + added) * storedShare - capacity);
    if (missing <= 0 || added === 0) return;
    const beside = pinned === 0 ? '' : ` beside ${formatBytes(pinned)} that are pinned`;
    const lacking = `${formatBytes(missing)} are missing`;
    throw new MillpoolError({
      code: 'full',
      message: `${path} has ${formatBytes(bytes)}${beside}; ${lacking} in a cache of ${formatBytes(capacity)}.`,
      remedy: 'Pin less, unpin something, or give the daemon more room with --size.',
      path,
    });
  }

  async #record(pin: Pin): Promise<void> {
    const value = Buffer.from(JSON.stringify(pin));
    const txn = { compare: [], then: [{ kind: 'put', key: keyOf(pin.path), value } as const], otherwise: [] };
    await this.#parts.coordination.txn(txn);
    this.#keep(pin);
  }

  #keep(pin: Pin): void {
    this.#pins.set(pin.path, pin);
  }

  async #mark(path: string, signal: AbortSignal): Promise<void> {
    for await (const files of this.#filesOf(path, signal)) await this.#parts.engine.pin(packObjects(files));
    this.#unmarked.delete(path);
  }

  /** Until all are marked, or it is stopped. */
  async #markUnmarked(): Promise<void> {
    const { clock, log } = this.#parts;
    const { signal } = this.#stop;
    while (this.#unmarked.size > 0 && !signal.aborted) {
      for (const path of this.#unmarked) {
        await this.#mark(path, signal).catch((error: unknown) => {
          if (!signal.aborted) log.warn('what is pinned is not known yet', { path, error: String(error) });
        });
      }
      if (this.#unmarked.size > 0) await clock.sleep(retryMs, signal).catch(() => undefined);
    }
  }

  async *#filesOf(path: string, signal: AbortSignal): AsyncGenerator<readonly ResolvedEntry[]> {
    for await (const page of this.#parts.metadata.walk(path, signal)) {
      const files = page.filter(({ type }) => type === 'file');
      if (files.length > 0) yield files;
    }
  }

  #notPinned(path: string): MillpoolError {
    const covering = this.covering(path);
    return new MillpoolError({
      code: 'not-found',
      message: covering === null ? `${path} is not pinned.` : `${path} is pinned as a part of ${covering}.`,
      remedy: covering === null ? 'See `millpool status`.' : `Unpin ${covering}.`,
      path,
    });
  }
}

function overlap(one: string, other: string): boolean {
  return one === other || isBelow(one, other) || isBelow(other, one);
}

function isPinned(path: string, pinned: string, how: string): MillpoolError {
  return new MillpoolError({
    code: 'refused',
    message: `${path} ${how} pinned.`,
    remedy: `Run \`millpool unpin ${pinned}\` first.`,
    path,
  });
}

function keyOf(path: string): string {
  return pinPrefix + path.slice(1);
}

function decodePin({ key, value }: KeyValue): Pin {
  try {
    const pin = JSON.parse(Buffer.from(value).toString()) as Pin;
    const numbers = Number.isSafeInteger(pin.files) && Number.isSafeInteger(pin.bytes);
    if (numbers && typeof pin.path === 'string' && keyOf(pin.path) === key) return pin;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw new MillpoolError({
    code: 'corrupt',
    message: `the pin ${key} in the coordination store is damaged`,
    remedy: 'Set the state directory aside, attach the sources again, and pin what is to stay.',
  });
}
