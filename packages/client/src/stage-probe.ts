import type { DatasetFile, Replayed } from '@millpool/native';

import type { DatasetRoad } from './dataset-road.ts';

/** The first replay comes so long after the loop began, later ones after as long at least. */
const firstAfterMs = 1_000;
const againAfterMs = 10_000;
/** And no sooner than so many times what the last one took: replays take a five hundredth of the time at most. */
const restTimes = 500;
const replayBytes = 16 << 20;
const samplesMax = 256;

/**
 * Measures what memory and device alone would give a loader: seldom, a batch that it delivered long ago is read again,
 * by one thread each way, into a slot that is thrown away.
 */
export class StageProbe {
  readonly #file: DatasetFile;
  readonly #road: DatasetRoad;
  #gather: Replayed = { samples: 0, bytes: 0, seconds: 0 };
  #device: Replayed = { samples: 0, bytes: 0, seconds: 0 };
  /** Delivered when the last replay was: by now other batches have taken its place in the processor's caches. */
  #old: Float64Array | null = null;
  #dueMs = 0;
  #isRunning = false;

  constructor(file: DatasetFile, road: DatasetRoad) {
    this.#file = file;
    this.#road = road;
  }

  /** All replays together. */
  get gather(): Replayed {
    return this.#gather;
  }

  get device(): Replayed {
    return this.#device;
  }

  /** Whether a replay was begun. */
  delivered(samples: Float64Array, nowMs: number, signal: AbortSignal): boolean {
    if (this.#old === null) {
      this.#dueMs = nowMs + firstAfterMs;
      this.#old = this.#few(samples);
    }
    if (nowMs < this.#dueMs || this.#isRunning) return false;
    void this.#replay(this.#old, signal);
    this.#old = this.#few(samples);
    return true;
  }

  async #replay(samples: Float64Array, signal: AbortSignal): Promise<void> {
    this.#isRunning = true;
    const startMs = performance.now();
    try {
      const { gather, device } = await this.#road.flow.replay(this.#file, samples, {
        timeoutMs: this.#road.timeoutMs,
        signal,
      });
      this.#gather = sum(this.#gather, gather);
      this.#device = sum(this.#device, device);
    } catch {
      // No slot was free, or the loop has ended: the next one may find better times.
    } finally {
      const endMs = performance.now();
      this.#dueMs = endMs + Math.max(againAfterMs, restTimes * (endMs - startMs));
      this.#isRunning = false;
    }
  }

  #few(samples: Float64Array): Float64Array {
    const meanBytes = Math.max(1, this.#file.bytes / Math.max(1, this.#file.length));
    return samples.slice(0, Math.max(1, Math.min(samplesMax, Math.floor(replayBytes / meanBytes))));
  }
}

function sum(one: Replayed, other: Replayed): Replayed {
  return {
    samples: one.samples + other.samples,
    bytes: one.bytes + other.bytes,
    seconds: one.seconds + other.seconds,
  };
}
