import type { Clock } from '@millpool/host';
import { nameOf, parentOf } from '@millpool/protocol';
import type { AnsweredReads, DirectoryHeat } from '@millpool/protocol';

import { hashName } from '../name-hash.ts';
import { HeatTable } from './heat-table.ts';

/** Counts what a node answers, by directory and by the node that asked. */
export class HeatCounter {
  readonly #table = new HeatTable();
  readonly #clock: Clock;
  /** By id: 32 bits that stand for a node. */
  readonly #callers = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  lookedUp(paths: readonly string[], caller: string): void {
    const [number, nowMs] = [this.#numberOf(caller), this.#clock.monotonicMs()];
    for (const path of paths) {
      this.#table.countLookup(parentOf(path), hashName(Buffer.from(nameOf(path))), number, nowMs);
    }
  }

  listed(path: string, caller: string): void {
    this.#table.countReads(path, 1, this.#numberOf(caller), this.#clock.monotonicMs());
  }

  /** By another node, from a copy. */
  answeredElsewhere({ path, reads, caller, nameHash }: AnsweredReads): void {
    const nowMs = this.#clock.monotonicMs();
    this.#table.countReads(path, reads, this.#numberOf(caller), nowMs);
    if (nameHash !== null) this.#table.countName(path, nameHash, reads, nowMs);
  }

  /** Null where it was not read of late. */
  of(path: string): DirectoryHeat | null {
    return this.#table.of(path, this.#clock.monotonicMs());
  }

  hottest(limit: number): DirectoryHeat[] {
    return this.#table.hottest(limit, this.#clock.monotonicMs());
  }

  #numberOf(caller: string): number {
    const known = this.#callers.get(caller) ?? hashName(Buffer.from(caller));
    this.#callers.set(caller, known);
    return known;
  }
}
