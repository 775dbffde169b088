import { MillpoolError, waitCauses } from '@millpool/protocol';
import type { PlanProgress, PlanRequest, SecondsByCause } from '@millpool/protocol';

import type { DatasetRoad } from './dataset-road.ts';

/** How often a loader asks what was fetched ahead of it, and tells what it waited for. */
const progressEveryMs = 1_000;

export const nothingFetched: PlanProgress = { fetchedSamples: 0, fetchedBytes: 0, fetchSeconds: 0 };

export function sumOfProgress(one: PlanProgress, other: PlanProgress): PlanProgress {
  return {
    fetchedSamples: one.fetchedSamples + other.fetchedSamples,
    fetchedBytes: one.fetchedBytes + other.fetchedBytes,
    fetchSeconds: one.fetchSeconds + other.fetchSeconds,
  };
}

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
  /** What was told the daemon of the loader's waits. */
  #told: SecondsByCause;
  /** By daemons before a restart, and by the one of now. */
  #before = nothingFetched;
  #now = nothingFetched;

  private constructor(road: DatasetRoad, request: PlanRequest, opened: { number: number; waited: SecondsByCause }) {
    this.#road = road;
    this.#request = request;
    this.#number = opened.number;
    this.#told = { ...opened.waited };
    this.#position = request.position;
  }

  /** `waited`: by the loader before this plan. */
  static async open(road: DatasetRoad, request: PlanRequest, waited: SecondsByCause): Promise<LoaderPlan> {
    const { plan } = await road.call('plan-open', request);
    return new LoaderPlan(road, request, { number: plan, waited });
  }

  /** By which reads name it. */
  get number(): number {
    return this.#number;
  }

  /** What was fetched ahead so far, as of the last second or so. */
  get progress(): PlanProgress {
    return sumOfProgress(this.#before, this.#now);
  }

  /** The loader delivered a batch: now and then the daemon is asked how far it is, and told what was waited for. */
  delivered(position: number, waited: SecondsByCause): void {
    this.#position = position;
    const nowMs = performance.now();
    if (nowMs - this.#askedMs < progressEveryMs) return;
    this.#askedMs = nowMs;
    void this.#refresh(waited);
  }

  async close(waited: SecondsByCause): Promise<void> {
    await this.#tell(waited).catch(() => undefined);
    const last = await this.#road.call('plan-close', { plan: this.#number }).catch(() => null);
    this.#now = last ?? this.#now;
  }

  async #refresh(waited: SecondsByCause): Promise<void> {
    try {
      await this.#tell(waited);
      this.#now = await this.#road.call('plan-progress', { plan: this.#number });
    } catch (error) {
      if (error instanceof MillpoolError && error.code === 'not-found') await this.#openAgain().catch(() => undefined);
    }
  }

  async #tell(waited: SecondsByCause): Promise<void> {
    const told = this.#told;
    this.#told = { ...waited };
    const since = waitCauses.map((cause) => [cause, Math.max(0, waited[cause] - told[cause])]);
    const waitSeconds = Object.fromEntries(since) as SecondsByCause;
    await this.#road.call('plan-report', { plan: this.#number, waitSeconds });
  }

  async #openAgain(): Promise<void> {
    const { plan } = await this.#road.call('plan-open', { ...this.#request, position: this.#position });
    this.#before = this.progress;
    this.#now = nothingFetched;
    this.#number = plan;
  }
}
