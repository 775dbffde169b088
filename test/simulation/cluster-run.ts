import { setImmediate as turnOfEventLoop } from 'node:timers/promises';

import type { CoordStore, LeaseTimes } from '@millpool/coordination';
import { MemoryState, MemoryStore } from '@millpool/coordination/testing';
import { HandClock } from '@millpool/host/testing';
import { leaseTimes } from '@millpool/metadata/cluster';
import type { ClusterNode } from '@millpool/metadata/cluster';

import { Operator } from './operator.ts';
import { Owners } from './owners.ts';
import { Random } from './random.ts';
import { SimulatedNode } from './simulated-node.ts';
import type { Weather } from './store-link.ts';

const shards = 16;
const nodesMax = 4;
const stormMs = 60_000;
const faultMsMax = 15_000;
const calmMs = 40_000;
const moveMs = 20_000;
const stepMs = 100;
/** Clocks are off by up to 5 %: many times what is seen of real ones. */
const drift = 0.05;

const idOf = (n: number): string => `node-${n}`;
const ids: readonly [string, ...string[]] = [idOf(0), idOf(1), idOf(2), idOf(3)];

export const faultKinds = ['kill', 'freeze', 'cut', 'stop', 'store-away'] as const;
export type FaultKind = (typeof faultKinds)[number];

/** A fault of the program that the simulation is to find. */
export interface Planted {
  readonly times?: LeaseTimes;
  readonly store?: (store: CoordStore) => CoordStore;
  /** In the place of what a node would answer. */
  readonly termOf?: (node: ClusterNode, shard: number) => number | null;
}

export interface RunResult {
  readonly seed: number;
  /** Why it failed; null where it did not. */
  readonly failure: string | null;
  readonly steps: number;
  readonly faults: Readonly<Record<FaultKind, number>>;
}

/**
 * A minute in which nodes are killed, frozen, cut off and stopped, the store is away, and shards are moved about; then
 * calm, in which all must be owned by who is there, and moves must make that even. After each step no shard has two
 * owners. A seed gives the same run each time.
 */
export async function runCluster(seed: number, planted: Planted = {}): Promise<RunResult> {
  const run = new ClusterRun(seed, planted);
  let failure: string | null = null;
  try {
    await run.play();
  } catch (error) {
    failure = error instanceof Error ? error.message : String(error);
  } finally {
    await run.end();
  }
  return { seed, failure, steps: run.steps, faults: run.faults };
}

class ClusterRun {
  readonly faults: Record<FaultKind, number> = { kill: 0, freeze: 0, cut: 0, stop: 0, 'store-away': 0 };
  steps = 0;
  readonly #random: Random;
  readonly #world = new HandClock();
  readonly #store: CoordStore;
  /** Without what is planted. */
  readonly #trueStore: CoordStore;
  readonly #planted: Planted;
  readonly #owners = new Owners(shards);
  #operator: Operator | null = null;
  readonly #weather: Weather;
  /** Nodes that a fault has now. */
  readonly #struck = new Set<number>();
  #nodes: SimulatedNode[] = [];

  constructor(seed: number, planted: Planted) {
    this.#random = new Random(seed);
    this.#planted = planted;
    const store = new MemoryStore(new MemoryState(this.#random.pick([20, 1_000])), this.#world);
    this.#store = planted.store?.(store) ?? store;
    this.#trueStore = store;
    const worst = this.#random.pick([0, 0.02, 0.1]);
    this.#weather = { lostRequest: worst, lostReply: worst, lateRequest: worst };
  }

  async play(): Promise<void> {
    const [store, clock, random] = [this.#trueStore, this.#world, this.#random];
    const operator = await Operator.open({ store, shards, clock, random });
    this.#operator = operator;
    for (let n = 0; n < nodesMax; n += 1) this.#startNode(n);
    while (this.#world.monotonicMs() < stormMs) {
      if (this.#random.chance(0.02)) this.#strike();
      if (this.#random.chance(0.05)) await operator.act(ids);
      await this.#pass();
    }
    Object.assign(this.#weather, { lostRequest: 0, lostReply: 0, lateRequest: 0 });
    await this.#passUntil(stormMs + calmMs);
    this.#checkOwned();
    await operator.balance();
    await this.#passUntil(stormMs + calmMs + moveMs);
    this.#checkOwned();
    const left = await operator.left();
    if (left !== '') throw new Error(left);
  }

  async #passUntil(endMs: number): Promise<void> {
    while (this.#world.monotonicMs() < endMs) await this.#pass();
  }

  #checkOwned(): void {
    for (let shard = 0; shard < shards; shard += 1) {
      const isOwned = this.#nodes.some((node) => node.termOf(shard) !== null);
      if (!isOwned) throw new Error(`shard ${shard} has no owner ${calmMs / 1_000} s after the last fault`);
    }
  }

  async end(): Promise<void> {
    for (const { clock } of this.#nodes) clock.kill();
    this.#operator?.close();
    await this.#store.close();
    await turnOfEventLoop();
  }

  #startNode(n: number): void {
    const [world, store, random, weather] = [this.#world, this.#store, this.#random, this.#weather];
    const times = this.#planted.times ?? leaseTimes;
    const termOf = this.#planted.termOf ?? ((node, shard) => node.termOf(shard));
    const made = { id: idOf(n), shards, world, store, random, weather, times, drift, termOf };
    this.#nodes[n] = SimulatedNode.start(made);
  }

  /** One fault, and its end after a while. A node has one at a time. */
  #strike(): void {
    const kind = this.#random.pick(faultKinds);
    const n = this.#random.below(nodesMax);
    const node = this.#nodes[n];
    if (node === undefined || this.#struck.has(n)) return;
    this.faults[kind] += 1;
    this.#struck.add(n);
    const end = this.#begin(kind, n, node);
    this.#world.after(this.#random.between(100, faultMsMax), () => {
      this.#struck.delete(n);
      end();
    });
  }

  /** Gives what ends it. */
  #begin(kind: FaultKind, n: number, node: SimulatedNode): () => void {
    switch (kind) {
      case 'kill':
        node.clock.kill();
        return () => this.#startNode(n);
      case 'freeze':
        node.clock.freeze();
        return () => node.clock.thaw();
      case 'cut':
        node.link.cut();
        return () => node.link.heal();
      case 'stop':
        void node.stop(this.#random.below(2) * this.#random.between(1_000, faultMsMax));
        return () => (node.clock.kill(), this.#startNode(n));
      case 'store-away':
        for (const { link } of this.#nodes) link.cut();
        return () => this.#nodes.forEach(({ link }) => link.heal());
    }
  }

  async #pass(): Promise<void> {
    await this.#world.advance(this.#random.between(1, stepMs));
    this.steps += 1;
    this.#owners.check(this.#nodes);
  }
}
