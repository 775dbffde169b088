import { MillpoolError } from '@millpool/protocol';
import type { PlanProgress, PlanRequest } from '@millpool/protocol';

import type { DatasetRoad } from './dataset-road.ts';

/** How often a loader asks what was fetched ahead of it. */
const progressEveryMs = 1_000;

/**
 * What one iteration has told the daemon that it will read. A daemon that was restarted meanwhile is told again; one
 * that cannot be told fetches what it is asked for, and nothing ahead.
 */
export class LoaderPlan {
  readonly #road: DatasetRoad;
  readonly #request: PlanRequest;
  #number: number;
  #position: number;
  #askedMs = performance.now();
  /** By daemons before a restart, and by the one of now. */
  #before: PlanProgress = { fetchedSamples: 0, fetchedBytes: 0 };
  #now: PlanProgress = { fetchedSamples: 0, fetchedBytes: 0 };

  private constructor(road: DatasetRoad, request: PlanRequest, number: number) {
    this.#road = road;
    this.#request = request;
    this.#number = number;
    this.#position = request.position;
  }

  static async open(road: DatasetRoad, request: PlanRequest): Promise<LoaderPlan> {
    const { plan } = await road.call('plan-open', request);
    return new LoaderPlan(road, request, plan);
  }

  /** For the reads of a batch that ends at `position`. */
  at(position: number): { readonly plan: number; readonly position: number } {
    return { plan: this.#number, position };
  }

  /** What was fetched ahead so far, as of the last second or so. */
  get progress(): PlanProgress {
    return {
      fetchedSamples: this.#before.fetchedSamples + this.#now.fetchedSamples,
      fetchedBytes: this.#before.fetchedBytes + this.#now.fetchedBytes,
    };
  }

  /** The loader delivered a batch: now and then the daemon is asked how far it is. */
  delivered(position: number): void {
    this.#position = position;
    const nowMs = performance.now();
    if (nowMs - this.#askedMs < progressEveryMs) return;
    this.#askedMs = nowMs;
    void this.#refresh();
  }

  async close(): Promise<void> {
    const last = await this.#road.call('plan-close', { plan: this.#number }).catch(() => null);
    this.#now = last ?? this.#now;
  }

  async #refresh(): Promise<void> {
    try {
      this.#now = await this.#road.call('plan-progress', { plan: this.#number });
    } catch (error) {
      if (error instanceof MillpoolError && error.code === 'not-found') await this.#openAgain().catch(() => undefined);
    }
  }

  async #openAgain(): Promise<void> {
    const { plan } = await this.#road.call('plan-open', { ...this.#request, position: this.#position });
    this.#before = this.progress;
    this.#now = { fetchedSamples: 0, fetchedBytes: 0 };
    this.#number = plan;
  }
}
