import type { Clock } from '@millpool/host';

/** Copies of a directory that one node gives at a time. */
export const copiesAtOnce = 2;
/** Who has said nothing for so long takes, or has, no copy any more. */
const takingMs = 5_000;
const havingMs = 10_000;
const waitMs = 10_000;
const lookEveryMs = 1_000;

/** Who takes a copy, and from whom; null: from this node. */
interface Taking {
  readonly giver: string | null;
  readonly seenMs: number;
}

/** By the ids of nodes. */
interface Copying {
  readonly takers: Map<string, Taking>;
  /** When those that have a copy last told of it. */
  readonly havers: Map<string, number>;
  /** Those that wait for their turn, the first first. */
  readonly waiting: Set<() => void>;
}

/**
 * Who gives copies of a directory that many nodes want at once: its owner gives a few at a time, and sends the others
 * to nodes that have one already, so that a thousand have it after a few rounds and the owner goes on answering.
 */
export class CopyGivers {
  readonly #clock: Clock;
  /** By path. */
  readonly #directories = new Map<string, Copying>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whom to ask; null: this node. Waits while all who have it give as many as they may, but not forever. */
  async giverFor(path: string, taker: string, signal: AbortSignal): Promise<string | null> {
    for (const [one, copying] of this.#directories) {
      this.#forget(copying);
      if (copying.takers.size + copying.havers.size + copying.waiting.size === 0) this.#directories.delete(one);
    }
    const copying = this.#directories.get(path) ?? { takers: new Map(), havers: new Map(), waiting: new Set() };
    this.#directories.set(path, copying);
    // One that asks again has come to nothing before.
    copying.takers.delete(taker);
    const endMs = this.#clock.monotonicMs() + waitMs;
    for (;;) {
      this.#forget(copying);
      const nowMs = this.#clock.monotonicMs();
      const giver = freeGiver(copying, taker);
      if (giver !== undefined || nowMs >= endMs) {
        copying.takers.set(taker, { giver: giver ?? null, seenMs: nowMs });
        return giver ?? null;
      }
      await this.#change(copying, Math.min(lookEveryMs, endMs - nowMs), signal);
    }
  }

  /** A part of a copy was given by this node. */
  gave(path: string, taker: string, isLast: boolean): void {
    const copying = this.#directories.get(path);
    if (copying?.takers.has(taker) !== true) return;
    if (isLast) this.has(path, taker);
    else copying.takers.set(taker, { giver: null, seenMs: this.#clock.monotonicMs() });
  }

  /** A node answers from its copy. */
  has(path: string, node: string): void {
    const copying = this.#directories.get(path);
    if (copying === undefined) return;
    copying.takers.delete(node);
    copying.havers.set(node, this.#clock.monotonicMs());
    for (const wake of [...copying.waiting]) wake();
  }

  #forget({ takers, havers }: Copying): void {
    const nowMs = this.#clock.monotonicMs();
    for (const [id, { seenMs }] of takers) if (nowMs - seenMs > takingMs) takers.delete(id);
    for (const [id, seenMs] of havers) if (nowMs - seenMs > havingMs) havers.delete(id);
  }

  #change({ waiting }: Copying, timeoutMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const over = (): void => {
        waiting.delete(over);
        timer.cancel();
        signal.removeEventListener('abort', over);
        if (signal.aborted) reject(signal.reason as Error);
        else resolve();
      };
      const timer = this.#clock.after(timeoutMs, over);
      waiting.add(over);
      signal.addEventListener('abort', over);
      if (signal.aborted) over();
    });
  }
}

/** Undefined: all are busy. */
function freeGiver({ takers, havers }: Copying, taker: string): string | null | undefined {
  const busy = new Map<string | null, number>();
  for (const { giver } of takers.values()) busy.set(giver, (busy.get(giver) ?? 0) + 1);
  return [null, ...havers.keys()].find((id) => id !== taker && (busy.get(id) ?? 0) < copiesAtOnce);
}
