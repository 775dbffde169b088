import { waitCauses } from '@millpool/protocol';
import type { PlanProgress, SecondsByCause, WaitCause } from '@millpool/protocol';

/** What one batch cost, measured where it happened. */
export interface BatchCost {
  readonly samples: number;
  readonly bytes: number;
  /** Bytes of samples for which its own reading began a GET. */
  readonly sourceBytes: number;
  /** Samples that needed no GET of this batch: some other may have fetched them, a plan above all. */
  readonly hitSamples: number;
  /** Time its reading took, by what it was spent on. */
  readonly seconds: SecondsByCause;
}

export interface Report {
  readonly samples: number;
  readonly batches: number;
  readonly skipped: number;
  readonly bytes: number;
  /** Fetched from the under-storage, ahead of the loop or while it waited; the rest of `bytes` is `cacheBytes`. */
  readonly sourceBytes: number;
  readonly cacheBytes: number;
  /** Samples that needed no GET ÷ samples. */
  readonly hitRatio: number;
  /** Samples that were fetched ahead of the loop, so that it found them in segments. */
  readonly prefetchedSamples: number;
  /** From the first request for a batch to the last delivery. */
  readonly seconds: number;
  readonly samplesPerSecond: number;
  readonly waitSeconds: SecondsByCause;
  /** Samples a second that one stage alone would reach; null where nothing was measured. */
  readonly ceilings: { readonly source: number | null; readonly gather: number | null; readonly step: number | null };
  /** One sentence. */
  readonly advice: string;
}

const none: SecondsByCause = { source: 0, peer: 0, device: 0, gather: 0, transform: 0, copy: 0, queue: 0 };

/** Adds up what a loader's batches cost and how long their consumer waited for them. */
export class StallAccount {
  #samples = 0;
  #batches = 0;
  #skipped = 0;
  #bytes = 0;
  #sourceBytes = 0;
  #hitSamples = 0;
  /** By plans that ended, and by the one of now. */
  #aheadBefore: PlanProgress = { fetchedSamples: 0, fetchedBytes: 0 };
  #aheadNow: PlanProgress = { fetchedSamples: 0, fetchedBytes: 0 };
  #wait: Record<WaitCause, number> = { ...none };
  #cost: Record<WaitCause, number> = { ...none };
  #stepSeconds = 0;
  #firstAskMs: number | null = null;
  #lastDeliveryMs = 0;

  /** The consumer asked at `askedMs` and got its batch at `deliveredMs` (monotonic milliseconds). */
  delivered(cost: BatchCost, skipped: number, span: { readonly askedMs: number; readonly deliveredMs: number }): void {
    if (this.#firstAskMs === null) this.#firstAskMs = span.askedMs;
    else this.#stepSeconds += Math.max(0, span.askedMs - this.#lastDeliveryMs) / 1000;
    this.#lastDeliveryMs = span.deliveredMs;
    this.#batches += 1;
    this.#samples += cost.samples;
    this.#skipped += skipped;
    this.#bytes += cost.bytes;
    this.#sourceBytes += cost.sourceBytes;
    this.#hitSamples += cost.hitSamples;
    for (const cause of waitCauses) this.#cost[cause] += cost.seconds[cause];
    this.#attribute(cost.seconds, (span.deliveredMs - span.askedMs) / 1000);
  }

  /** What the plan under way has fetched so far. */
  fetchedAhead(progress: PlanProgress): void {
    this.#aheadNow = progress;
  }

  planEnded(): void {
    this.#aheadBefore = this.#ahead;
    this.#aheadNow = { fetchedSamples: 0, fetchedBytes: 0 };
  }

  get #ahead(): PlanProgress {
    return {
      fetchedSamples: this.#aheadBefore.fetchedSamples + this.#aheadNow.fetchedSamples,
      fetchedBytes: this.#aheadBefore.fetchedBytes + this.#aheadNow.fetchedBytes,
    };
  }

  /**
   * A wait is dealt over the causes in the proportion of what the batch's reading spent on each; what exceeds the whole
   * reading was spent before it began, and is `queue`.
   */
  #attribute(seconds: SecondsByCause, waited: number): void {
    const total = waitCauses.reduce((sum, cause) => sum + seconds[cause], 0);
    const explained = Math.min(waited, total);
    if (total > 0) for (const cause of waitCauses) this.#wait[cause] += (explained * seconds[cause]) / total;
    this.#wait.queue += waited - explained;
  }

  /** What the loop waited for, since the loader was made. */
  get waitSeconds(): SecondsByCause {
    return this.#wait;
  }

  report(): Report {
    const seconds = this.#firstAskMs === null ? 0 : (this.#lastDeliveryMs - this.#firstAskMs) / 1000;
    const rate = (samples: number, spent: number): number | null => (spent > 0 && samples > 0 ? samples / spent : null);
    const prefetchedSamples = Math.min(this.#hitSamples, this.#ahead.fetchedSamples);
    const sourceBytes = Math.min(this.#bytes, this.#sourceBytes + this.#ahead.fetchedBytes);
    const ceilings = {
      source: rate(this.#samples - this.#hitSamples, this.#cost.source),
      gather: rate(this.#samples, this.#cost.gather + this.#cost.device),
      step: rate(this.#samples, this.#stepSeconds),
    };
    return {
      samples: this.#samples,
      batches: this.#batches,
      skipped: this.#skipped,
      bytes: this.#bytes,
      sourceBytes,
      cacheBytes: this.#bytes - sourceBytes,
      hitRatio: this.#samples === 0 ? 0 : (this.#hitSamples - prefetchedSamples) / this.#samples,
      prefetchedSamples,
      seconds,
      samplesPerSecond: seconds > 0 ? this.#samples / seconds : 0,
      waitSeconds: { ...this.#wait },
      ceilings,
      advice: adviceFor(this.#wait, seconds),
    };
  }
}

/** The largest share of the waiting, and what shortens it. */
function adviceFor(wait: SecondsByCause, seconds: number): string {
  const waited = waitCauses.reduce((sum, cause) => sum + wait[cause], 0);
  if (seconds === 0) return 'Nothing was read yet.';
  if (waited < 0.05 * seconds) return 'The loop hardly waits: its own work is what takes the time.';
  const [worst] = [...waitCauses].sort((a, b) => wait[b] - wait[a]);
  switch (worst) {
    case 'source':
      return 'The loop waits for the under-storage: run `millpool load` before training, or give the cache more room.';
    case 'device':
      return 'The loop waits for the cache device: give the cache a faster device, or several (--data DIR again).';
    case 'gather':
      return 'The loop waits for bytes to be copied: memory bandwidth is the limit; smaller samples would help.';
    case 'peer':
      return 'The loop waits for other nodes: the network between them is the limit.';
    case 'transform':
      return 'The loop waits for its transform: give it more threads, or do less in it.';
    case 'copy':
      return 'The loop waits for copies to the GPU: copy two batches ahead on a stream of its own.';
    default:
      return 'Batches were asked for late: give the loader a larger prefetch.';
  }
}
