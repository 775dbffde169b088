import type { JobAhead } from '@millpool/native';
import type { PlanRequest } from '@millpool/protocol';

/** Where one rank's plan stands. */
export interface PlanStanding {
  readonly request: PlanRequest;
  /** Samples delivered to the whole world, as far as its receipts say. */
  readonly position: number;
  /** Positions a second; null: not known yet. */
  readonly pace: number | null;
}

/** The jobs that read a dataset version, and which of them each plan belongs to. */
export interface JobsAhead<Plan> {
  readonly jobs: JobAhead[];
  readonly jobOf: Map<Plan, number>;
}

/** A loader that stands still is to read on some time: it counts as this much of the fastest. */
const leastPaceShare = 0.05;

/**
 * The jobs of all plans of an identity, by version. Ranks of one job, which read in one order on one grid, are taken
 * together: at the place of the last of them. The unit of time is a position of the fastest, so that one job alone
 * means the same before its pace is known and after. Pure.
 */
export function jobsAhead<Plan>(plans: ReadonlyMap<Plan, PlanStanding>): ReadonlyMap<string, JobsAhead<Plan>> {
  const versions = new Map<string, JobsAhead<Plan>>();
  const names = new Map<string, number>();
  const paces = relativePaces([...plans.values()].map(({ pace }) => pace));
  for (const [i, [plan, { request, position: standsAt }]] of [...plans].entries()) {
    const { version, seed, epoch, shuffle, dropLast, globalBatch, world, rank, position: begunAt } = request;
    const of = versions.get(version) ?? { jobs: [], jobOf: new Map<Plan, number>() };
    versions.set(version, of);
    const name = [version, seed, epoch, shuffle, dropLast, globalBatch, world, begunAt].join();
    const known = names.get(name) ?? of.jobs.length;
    names.set(name, known);
    of.jobOf.set(plan, known);
    const job = of.jobs[known];
    const ranks = [...new Set([...(job?.ranks ?? []), rank])];
    const position = Math.min(job?.position ?? Infinity, standsAt);
    const pace = Math.max(job?.pace ?? 0, paces[i] ?? 1);
    of.jobs[known] = { seed, epoch, shuffle, dropLast, globalBatch, world, ranks, begunAt, position, pace };
  }
  return versions;
}

/** Who has not begun is taken for as fast as the others are on average. */
function relativePaces(paces: readonly (number | null)[]): readonly number[] {
  const known = paces.flatMap((pace) => (pace === null || pace <= 0 ? [] : [pace]));
  const fastest = Math.max(...known, 0) || 1;
  const average = known.length === 0 ? fastest : known.reduce((sum, pace) => sum + pace, 0) / known.length;
  return paces.map((pace) => Math.max(leastPaceShare, (pace ?? average) / fastest));
}
