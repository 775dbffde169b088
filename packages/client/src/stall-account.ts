import type { Batch as NativeBatch, Replayed } from '@millpool/native';
import type { PlanProgress, SecondsByCause, WaitCause } from '@millpool/protocol';

import { adviceFor } from './advice.ts';
import type { CacheFacts } from './cache-facts.ts';
import { nothingFetched, sumOfProgress } from './loader-plan.ts';
import { Report } from './report.ts';
import type { Ceilings, Tier, Tiers } from './report.ts';

const none: SecondsByCause = { source: 0, peer: 0, device: 0, gather: 0, transform: 0, copy: 0, queue: 0 };

/** A batch whose consumer waited for less of its reading was ready. */
const readyShare = 0.25;

/** How a batch came to its consumer, in monotonic milliseconds. */
export interface Delivery {
  readonly askedMs: number;
  readonly deliveredMs: number;
  /** When its read had ended. */
  readonly cameMs: number;
  /** Samples left out of it. */
  readonly skipped: number;
}

/** What batches are counted by. */
export type Counted = Pick<
  NativeBatch,
  'length' | 'hits' | 'device' | 'bytes' | 'fetchedBytes' | 'deviceBytes' | 'waits'
> & { readonly failures: { readonly size: number } };

/** What is known beside the batches. */
export interface Surroundings {
  readonly dataset: { readonly path: string; readonly bytes: number };
  readonly replays: { readonly gather: Replayed; readonly device: Replayed };
  /** Null where the daemon has not said. */
  readonly cache: CacheFacts | null;
}

/** Adds up what a loader's batches cost and how long their consumer waited for them. */
export class StallAccount {
  #samples = 0;
  #batches = 0;
  #skipped = 0;
  #bytes = 0;
  #hits = 0;
  #fetchedBytes = 0;
  #device = 0;
  #deviceBytes = 0;
  /** By plans that ended, and by the one of now. */
  #aheadBefore = nothingFetched;
  #aheadNow = nothingFetched;
  readonly #wait: Record<WaitCause, number> = { ...none };
  #leaseSeconds = 0;
  readonly #cost: Record<WaitCause, number> = { ...none };
  /** Time in which some read of ours waited for the source, and until when it is counted. */
  #sourceSeconds = 0;
  #sourceUntilMs = 0;
  /** The loop's own work on batches that had been ready when it asked, and on all. */
  #readyStep = { samples: 0, seconds: 0 };
  #step = { samples: 0, seconds: 0 };
  #lastReady = false;
  #lastSamples = 0;
  #firstAskMs: number | null = null;
  #lastDeliveryMs = 0;

  delivered(batch: Counted, delivery: Delivery): void {
    this.#stepped(delivery, batch);
    this.#batches += 1;
    this.#samples += batch.length - batch.failures.size;
    this.#skipped += delivery.skipped;
    this.#bytes += batch.bytes;
    this.#hits += batch.hits;
    this.#fetchedBytes += batch.fetchedBytes;
    this.#device += batch.device;
    this.#deviceBytes += batch.deviceBytes;
    this.#attribute(batch.waits, delivery);
  }

  /** What the loop did since the delivery before is its work on that batch. */
  #stepped({ askedMs, deliveredMs, cameMs }: Delivery, { length, waits }: Counted): void {
    if (this.#firstAskMs === null) this.#firstAskMs = askedMs;
    else {
      const seconds = Math.max(0, askedMs - this.#lastDeliveryMs) / 1000;
      this.#step.samples += this.#lastSamples;
      this.#step.seconds += seconds;
      if (this.#lastReady) {
        this.#readyStep.samples += this.#lastSamples;
        this.#readyStep.seconds += seconds;
      }
    }
    // A loop that never yields hears of a batch only when it asks for it; one that was read meanwhile comes at once.
    const readMs = (waits.sourceNs + waits.peerNs + waits.deviceNs + waits.gatherNs + waits.queueNs) / 1e6;
    this.#lastReady = cameMs <= askedMs || deliveredMs - askedMs < readMs * readyShare;
    this.#lastSamples = length;
    this.#lastDeliveryMs = deliveredMs;
  }

  /**
   * A wait is dealt over the causes in the proportion of what the batch's reading spent on each; what exceeds the whole
   * reading was spent before it began or on handing it over, and is `queue`.
   */
  #attribute(waits: Counted['waits'], { askedMs, deliveredMs, cameMs }: Delivery): void {
    const { sourceNs, peerNs, deviceNs, gatherNs, queueNs } = waits;
    const total = (sourceNs + peerNs + deviceNs + gatherNs + queueNs) / 1e9;
    const waited = (deliveredMs - askedMs) / 1000;
    const explained = Math.min(waited, total);
    const share = total > 0 ? explained / total / 1e9 : 0;
    const [wait, cost] = [this.#wait, this.#cost];
    wait.source += sourceNs * share;
    wait.peer += peerNs * share;
    wait.device += deviceNs * share;
    wait.gather += gatherNs * share;
    wait.queue += queueNs * share + waited - explained;
    this.#leaseSeconds += queueNs * share;
    cost.device += deviceNs / 1e9;
    cost.gather += gatherNs / 1e9;
    if (sourceNs === 0) return;
    // Reads that wait at the same time are one time of the source.
    const fromMs = Math.max(this.#sourceUntilMs, cameMs - sourceNs / 1e6);
    this.#sourceSeconds += Math.max(0, cameMs - fromMs) / 1000;
    this.#sourceUntilMs = Math.max(this.#sourceUntilMs, cameMs);
  }

  /** What the plan under way has fetched so far. */
  fetchedAhead(progress: PlanProgress): void {
    this.#aheadNow = progress;
  }

  planEnded(): void {
    this.#aheadBefore = this.#ahead;
    this.#aheadNow = nothingFetched;
  }

  get #ahead(): PlanProgress {
    return sumOfProgress(this.#aheadBefore, this.#aheadNow);
  }

  /** What the loop waited for, since the loader was made. */
  get waitSeconds(): SecondsByCause {
    return this.#wait;
  }

  report(surroundings: Surroundings): Report {
    const seconds = this.#firstAskMs === null ? 0 : (this.#lastDeliveryMs - this.#firstAskMs) / 1000;
    const prefetchedSamples = Math.min(this.#hits, this.#ahead.fetchedSamples);
    const tiers = this.#tiers();
    const waitSeconds = { ...this.#wait };
    const samplesPerSecond = rate(this.#samples, seconds) ?? 0;
    const ceilings = this.#ceilings(surroundings, samplesPerSecond);
    return new Report({
      samples: this.#samples,
      batches: this.#batches,
      skipped: this.#skipped,
      bytes: this.#bytes,
      sourceBytes: tiers.source.bytes,
      cacheBytes: this.#bytes - tiers.source.bytes,
      hitRatio: this.#samples === 0 ? 0 : (this.#hits - prefetchedSamples) / this.#samples,
      prefetchedSamples,
      seconds,
      samplesPerSecond,
      bytesPerSecond: rate(this.#bytes, seconds) ?? 0,
      waitSeconds,
      tiers,
      ceilings,
      hedges: surroundings.cache?.hedges ?? null,
      advice: adviceFor({ ...surroundings, waitSeconds, seconds, ceilings, leaseSeconds: this.#leaseSeconds }),
    });
  }

  /**
   * What was fetched ahead of the loop, it then found in memory (or, much later, on the device); it is the source's all
   * the same.
   */
  #tiers(): Tiers {
    const ahead = this.#ahead;
    const samples = split({
      all: this.#samples,
      fetched: this.#samples - this.#hits,
      device: this.#device,
      ahead: ahead.fetchedSamples,
    });
    const bytes = split({
      all: this.#bytes,
      fetched: this.#fetchedBytes,
      device: this.#deviceBytes,
      ahead: ahead.fetchedBytes,
    });
    const tier = (name: keyof Tiers): Tier => ({ samples: samples[name], bytes: bytes[name] });
    return { memory: tier('memory'), device: tier('device'), source: tier('source') };
  }

  /** A stage that gave more than it was measured to give alone has that as its ceiling. */
  #ceilings({ replays: { gather, device } }: Surroundings, reached: number): Ceilings {
    const ahead = this.#ahead;
    const inMemory = this.#hits - this.#device;
    const copied = rate(gather.samples, gather.seconds) ?? rate(inMemory, this.#cost.gather);
    const step = this.#readyStep.samples > 0 ? this.#readyStep : this.#step;
    const fetched = this.#samples - this.#hits + ahead.fetchedSamples;
    return {
      source: rate(fetched, Math.max(this.#sourceSeconds, ahead.fetchSeconds)),
      device: rate(device.samples, device.seconds) ?? rate(this.#device, this.#cost.device),
      gather: copied === null ? null : Math.max(copied, reached),
      transform: null,
      step: rate(step.samples, step.seconds),
    };
  }
}

function rate(count: number, seconds: number): number | null {
  return seconds > 0 && count > 0 ? count / seconds : null;
}

/** Samples or bytes of a loop, as its batches and its plan say. */
interface Origins {
  readonly all: number;
  readonly fetched: number;
  readonly device: number;
  /** Fetched by the plan, also what a batch then waited for. */
  readonly ahead: number;
}

function split({ all, fetched, device, ahead }: Origins): { readonly [tier in keyof Tiers]: number } {
  const source = fetched + Math.min(all - fetched, ahead);
  const fromDevice = Math.min(device, all - source);
  return { memory: all - source - fromDevice, device: fromDevice, source };
}
