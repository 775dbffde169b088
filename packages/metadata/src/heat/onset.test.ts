import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { Rung } from '@millpool/protocol';

import { randomOf } from '../testing/random.ts';
import { HeatTable } from './heat-table.ts';
import { decide } from './ladder.ts';
import { groundStand } from './stand.ts';
import type { Stand } from './stand.ts';

const nodes = 16;
const capacityPerS = 1_000;
const stepMs = 10;

interface Demand {
  readonly readsPerS: number;
  readonly writesPerS: number;
  /** Part of the reads that one entry has. */
  readonly entryShare: number;
}

interface Change {
  readonly atMs: number;
  readonly rung: Rung;
  readonly partitions: number;
}

/**
 * One directory from its first operation on: owners count what they serve, which is never more than they can, and what
 * caches and replicas tell them of; each second it is decided what to do, and done.
 */
class Directory {
  readonly changes: Change[] = [];
  readonly #table = new HeatTable(64);
  readonly #random: () => number;
  #stand: Stand = groundStand(0);
  #partitions = 1;
  #nowMs = 0;

  constructor(seed: number) {
    this.#random = randomOf(seed);
  }

  bear(demand: Demand, forMs: number): void {
    for (const endMs = this.#nowMs + forMs; this.#nowMs < endMs;) {
      this.#nowMs += stepMs;
      this.#serve(demand);
      if (this.#nowMs % 1_000 === 0) this.#decide();
    }
  }

  #serve({ readsPerS, writesPerS, entryShare }: Demand): void {
    const isEased = this.#stand.rung === 'publish' || this.#stand.rung === 'replicate';
    const servedPerS = capacityPerS * Math.min(this.#partitions, nodes);
    const served = isEased ? 1 : Math.min(1, servedPerS / Math.max(1, readsPerS + writesPerS));
    for (let reads = this.#noisy(served * readsPerS); reads > 0; reads -= 1) {
      const name = this.#random() < entryShare ? 9 : Math.floor(this.#random() * 1e6);
      this.#table.countLookup('d', name, Math.floor(this.#random() * 30), this.#nowMs);
    }
    const writes = this.#noisy(served * writesPerS);
    if (writes > 0) this.#table.countWrites('d', writes, 1, this.#nowMs);
  }

  #noisy(perS: number): number {
    return Math.floor((perS * stepMs * 2 * this.#random()) / 1_000 + this.#random());
  }

  #decide(): void {
    const heat = this.#table.of('d', this.#nowMs);
    if (heat === null) return;
    const sizes = { names: 5_000, partitions: this.#partitions, shards: 1_024, nodes, capacityPerS };
    const { stand, partitions, isChange } = decide(this.#stand, { ...heat, ...sizes }, this.#nowMs);
    this.#stand = stand;
    this.#partitions = partitions;
    if (isChange) this.changes.push({ atMs: this.#nowMs, rung: stand.rung, partitions });
  }
}

const none: Demand = { readsPerS: 0, writesPerS: 0, entryShare: 0 };

const causes: readonly { readonly demand: Demand; readonly rung: Rung; readonly partitions: number }[] = [
  { demand: { readsPerS: 8_000, writesPerS: 0, entryShare: 0 }, rung: 'publish', partitions: 1 },
  { demand: { readsPerS: 4_000, writesPerS: 20, entryShare: 0.95 }, rung: 'replicate', partitions: 1 },
  { demand: { readsPerS: 500, writesPerS: 4_000, entryShare: 0 }, rung: 'split', partitions: 64 },
];

for (const { demand, rung, partitions } of causes) {
  test(`from its onset a load climbs to ${rung} in one decision, stays there, and comes down once`, () => {
    for (const seed of [1, 2, 3]) {
      const directory = new Directory(seed);
      directory.bear(demand, 120_000);
      const [first, ...more] = directory.changes;
      assert.deepEqual([first?.rung, first?.partitions, more], [rung, partitions, []], `seed ${seed}`);
      assert.ok((first?.atMs ?? 0) <= 10_000, `seed ${seed}: ${first?.atMs} ms of virtual time`);
      directory.bear(none, 400_000);
      const last = directory.changes.at(-1);
      assert.deepEqual([directory.changes.length, last?.rung, last?.partitions], [2, 'none', 1], `seed ${seed}`);
    }
  });
}

test('a load that swings about the threshold for an hour moves a directory once', () => {
  for (const seed of [4, 5]) {
    const random = randomOf(seed);
    const directory = new Directory(seed);
    for (let minute = 0; minute < 60; minute += 1) {
      directory.bear({ readsPerS: 0, writesPerS: capacityPerS * (0.3 + 0.2 * random()), entryShare: 0 }, 60_000);
    }
    assert.equal(directory.changes.length, 1, `seed ${seed}: ${JSON.stringify(directory.changes)}`);
  }
});
