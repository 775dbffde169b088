import { MillpoolError } from '@millpool/protocol';
import type { JobStatus } from '@millpool/protocol';

import { LoadJob } from './load-job.ts';

/** Ended jobs that are still shown. */
const endedShown = 100;

type JobParts = ConstructorParameters<typeof LoadJob>[1];

/** The load jobs of this run of the daemon, by number. */
export class LoadJobs {
  readonly #parts: JobParts;
  readonly #jobs = new Map<number, LoadJob>();
  #last = 0;

  constructor(parts: JobParts) {
    this.#parts = parts;
  }

  start(path: string, verify: boolean): number {
    const job = ++this.#last;
    this.#jobs.set(job, new LoadJob({ job, path, verify }, this.#parts));
    this.#forgetOldest();
    return job;
  }

  list(): readonly JobStatus[] {
    return [...this.#jobs.values()].map((job) => job.status);
  }

  cancel(job: number): void {
    this.#find(job).cancel();
  }

  /** The job as it stands when it has ended, or after `waitSeconds`. */
  async wait(job: number, waitSeconds: number, signal: AbortSignal): Promise<JobStatus> {
    const found = this.#find(job);
    const late = new AbortController();
    const aborted = AbortSignal.any([signal, late.signal]);
    const pause = this.#parts.clock.sleep(waitSeconds * 1000, aborted).catch(() => undefined);
    await Promise.race([found.ended, pause]);
    late.abort();
    return found.status;
  }

  /** Cancels all and waits for them. */
  async stop(): Promise<void> {
    for (const job of this.#jobs.values()) job.cancel();
    await Promise.all([...this.#jobs.values()].map((job) => job.ended));
  }

  #find(job: number): LoadJob {
    const found = this.#jobs.get(job);
    if (found !== undefined) return found;
    throw new MillpoolError({
      code: 'not-found',
      message: `There is no job ${job}.`,
      remedy: '`millpool jobs` lists the jobs since the daemon started.',
    });
  }

  #forgetOldest(): void {
    const ended = [...this.#jobs].filter(([, job]) => job.status.state !== 'running');
    for (const [number] of ended.slice(0, Math.max(0, ended.length - endedShown))) this.#jobs.delete(number);
  }
}
