import {
  copiesAtOnce,
  decide,
  groundStand,
  HeatCounter,
  ladderThresholds,
  sliceMsAfter,
} from '@millpool/metadata/cluster';
import type { Stand } from '@millpool/metadata/cluster';

import { EventQueue } from './event-queue.ts';

/** What things take of a processor, measured; milliseconds. */
export interface ServiceTimes {
  /** A question between nodes, and each name in it: of who is asked, and of who asks. */
  readonly owner: { readonly question: number; readonly name: number };
  readonly caller: { readonly question: number; readonly name: number };
  /** A question that a node answers from what it has. */
  readonly local: { readonly question: number; readonly name: number };
  /** A name of a copy: of who gives it, and of who takes it. */
  readonly copy: { readonly giver: number; readonly taker: number };
}

export interface HotClusterConfig {
  readonly nodes: number;
  readonly names: number;
  readonly times: ServiceTimes;
  /** Null: every question is for a directory of its own, and the homes of those are spread evenly. */
  readonly hotReadsPerS: number | null;
}

const namesAQuestion = 64;
const underWay = 12;
/** There and back. */
const roadMs = 0.3;
/** From a decision to when all nodes know it. */
const watchMs = 50;
const lookEveryMs = 1_000;
/** As a directory is copied (`listing-copy.ts` of packages/metadata). */
const namesATurn = 2_048;
const namesAMessage = 51_200;
/** What a node answers from its copy it tells once a second. */
const reportMs = 1_000;
const directory = '/hot';

/** Who has a copy, and how many it gives now. */
interface Giver {
  readonly node: number;
  under: number;
}

/**
 * A cluster in virtual time: each node has one processor, which does what comes to it in the order in which it comes,
 * and twelve questions under way all the time. Counters and decisions are the program's own.
 */
export class HotCluster {
  readonly #config: HotClusterConfig;
  readonly #queue = new EventQueue();
  /** When the processor of each node has done what it has. */
  readonly #freeMs: Float64Array;
  readonly #copies: ('none' | 'coming' | 'there')[];
  readonly #reports: Float64Array;
  readonly #heat: HeatCounter;
  readonly #paths: readonly string[];
  #stand: Stand = groundStand(0);
  #isPublished = false;
  #answered: number[] = [];
  #next = 0;
  readonly #waiting: number[] = [];
  readonly #givers: Giver[] = [{ node: 0, under: 0 }];

  constructor(config: HotClusterConfig) {
    this.#config = config;
    this.#freeMs = new Float64Array(config.nodes);
    this.#reports = new Float64Array(config.nodes);
    this.#copies = Array.from({ length: config.nodes }, (_, node) => (node === 0 ? 'there' : 'none'));
    const timer = { cancel: () => false };
    const clock = {
      nowMs: () => this.#queue.nowMs,
      monotonicMs: () => this.#queue.nowMs,
      bootMs: () => this.#queue.nowMs,
    };
    this.#heat = new HeatCounter({ ...clock, after: () => timer, sleep: async () => undefined });
    this.#paths = Array.from({ length: namesAQuestion }, (_, at) => `${directory}/${at * 977}`);
  }

  /** Names that were answered, by the second. */
  run(seconds: number): number[] {
    this.#answered = Array.from({ length: seconds }, () => 0);
    for (let node = 0; node < this.#config.nodes; node += 1) {
      for (let at = 0; at < underWay; at += 1) this.#queue.at(at * 0.01, () => this.#ask(node));
    }
    if (this.#config.hotReadsPerS !== null) this.#queue.at(lookEveryMs, () => this.#look());
    this.#queue.runUntil(1_000 * seconds);
    return this.#answered;
  }

  /** The processor of a node does something that takes so long, when it has done what came before. */
  #work(node: number, ms: number, then: () => void): void {
    const startMs = Math.max(this.#queue.nowMs, this.#freeMs[node] as number);
    this.#freeMs[node] = startMs + ms;
    this.#queue.at(startMs + ms, then);
  }

  #ask(node: number): void {
    const { nodes, times, hotReadsPerS } = this.#config;
    const home = hotReadsPerS === null ? (this.#next += 1) % nodes : 0;
    const isHere = home === node || (hotReadsPerS !== null && this.#has(node));
    const again = (): void => {
      this.#count();
      this.#ask(node);
    };
    if (isHere) {
      if (hotReadsPerS !== null && node === 0) this.#heat.lookedUp(this.#paths, '0');
      else if (hotReadsPerS !== null) this.#reports[node] = (this.#reports[node] as number) + namesAQuestion;
      this.#work(node, times.local.question + namesAQuestion * times.local.name, again);
      return;
    }
    this.#work(node, times.caller.question + namesAQuestion * times.caller.name, () => {
      this.#queue.at(this.#queue.nowMs + roadMs / 2, () =>
        this.#work(home, times.owner.question + namesAQuestion * times.owner.name, () => {
          if (hotReadsPerS !== null) this.#heat.lookedUp(this.#paths, String(node));
          this.#queue.at(this.#queue.nowMs + roadMs / 2, again);
        }),
      );
    });
  }

  #count(): void {
    const second = Math.floor(this.#queue.nowMs / 1_000);
    this.#answered[second] = (this.#answered[second] ?? 0) + namesAQuestion;
  }

  /** One that has none asks the home for one. */
  #has(node: number): boolean {
    if (this.#copies[node] === 'there') return this.#isPublished;
    if (this.#isPublished && this.#copies[node] === 'none') {
      this.#copies[node] = 'coming';
      this.#waiting.push(node);
      this.#give();
    }
    return false;
  }

  /** Two at a time come from the home, and two from each node of which it knows that it has one. */
  #give(): void {
    for (const giver of this.#givers) {
      for (; giver.under < copiesAtOnce && this.#waiting.length > 0; giver.under += 1) {
        const node = this.#waiting.shift() as number;
        this.#queue.at(this.#queue.nowMs + roadMs, () => this.#copy(giver, node, this.#config.names));
      }
    }
  }

  /** A message of a copy is made in turns, each as long as what it waited for, within limits. */
  #copy(giver: Giver, node: number, left: number): void {
    const { times } = this.#config;
    const waitedMs = Math.max(0, (this.#freeMs[giver.node] as number) - this.#queue.nowMs);
    const fair = Math.floor(sliceMsAfter(waitedMs) / times.copy.giver);
    const names = Math.min(left, namesAMessage, Math.max(namesATurn, fair));
    this.#work(giver.node, names * times.copy.giver, () => {
      if (names === left) this.#gave(giver, node);
      this.#queue.at(this.#queue.nowMs + roadMs, () =>
        this.#work(node, names * times.copy.taker, () => {
          if (names < left) this.#copy(giver, node, left - names);
          else this.#copies[node] = 'there';
        }),
      );
    });
  }

  #gave(giver: Giver, node: number): void {
    giver.under -= 1;
    // The home knows what it has given, and of the others what they tell.
    this.#queue.at(this.#queue.nowMs + (giver.node === 0 ? 0 : reportMs), () => {
      this.#givers.push({ node, under: 0 });
      this.#give();
    });
  }

  /** What the home's owner does each second. */
  #look(): void {
    const { nodes, names, times, hotReadsPerS } = this.#config;
    const nowMs = this.#queue.nowMs;
    this.#reports.forEach((reads, node) => {
      if (reads === 0) return;
      this.#work(0, times.owner.question, () => undefined);
      this.#heat.answeredElsewhere({ path: directory, reads, caller: String(node), nameHash: null });
      this.#reports[node] = 0;
    });
    const { readsPerS = 0, callers = 0, hottestEntry = null } = this.#heat.of(directory) ?? {};
    const capacityPerS = (hotReadsPerS ?? 1) / ladderThresholds.hotShare;
    const load = { readsPerS, writesPerS: 0, callers, hottestEntry, capacityPerS };
    const { stand } = decide(this.#stand, { ...load, names, partitions: 1, shards: 1_024, nodes }, nowMs);
    this.#stand = stand;
    const isPublished = stand.rung === 'publish';
    if (isPublished !== this.#isPublished) this.#queue.at(nowMs + watchMs, () => (this.#isPublished = isPublished));
    this.#queue.at(nowMs + lookEveryMs, () => this.#look());
  }
}
