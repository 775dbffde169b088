import { systemClock } from '@millpool/host';
import type { Activity } from '@millpool/protocol';

import type { LoadJobs } from './load-jobs.ts';
import type { Readers } from './readers.ts';
import { statusOf } from './status.ts';

type Parts = Parameters<typeof statusOf>[0] & { readonly jobs: LoadJobs; readonly readers: Readers };

/** What goes on now: who reads what, which loads run, what loops wait for. */
export async function activityOf(parts: Parts): Promise<Activity> {
  const { engine, plans, jobs, readers, tally } = parts;
  const { inFlight, queued } = engine.counters();
  return {
    status: statusOf(parts),
    atSeconds: systemClock.monotonicMs() / 1_000,
    read: { samples: tally.samples, hitSamples: tally.hitSamples, bytes: tally.bytes },
    fetchedAheadSamples: plans.fetchedSamples,
    waitSeconds: plans.waitSeconds,
    fetching: inFlight,
    queued,
    readers: await readers.list(),
    loaders: plans.activity(),
    jobs: jobs.list().map((job) => ({ ...job, failures: [] })),
  };
}
