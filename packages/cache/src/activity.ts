import { systemClock } from '@millpool/host';
import type { SourceTally } from '@millpool/native';
import type { Activity, SourceActivity } from '@millpool/protocol';

import type { LoadJobs } from './load-jobs.ts';
import type { Readers } from './readers.ts';
import { hedgesOf, statusOf } from './status.ts';

type Parts = Parameters<typeof statusOf>[0] & { readonly jobs: LoadJobs; readonly readers: Readers };

/** What goes on now: who reads what, which loads run, what loops wait for. */
export async function activityOf(parts: Parts): Promise<Activity> {
  const { engine, metadata, plans, jobs, readers, tally } = parts;
  const { inFlight, queued } = engine.counters();
  return {
    status: statusOf(parts),
    atSeconds: systemClock.monotonicMs() / 1_000,
    read: { samples: tally.samples, hitSamples: tally.hitSamples, bytes: tally.bytes },
    fetchedAheadSamples: plans.fetchedSamples,
    waitSeconds: plans.waitSeconds,
    fetching: inFlight,
    queued,
    sources: metadata.attachments().map(({ id, path }) => sourceActivity(path, engine.sourceTally(id))),
    readers: await readers.list(),
    loaders: plans.activity(),
    jobs: jobs.list(),
  };
}

function sourceActivity(path: string, tally: SourceTally): SourceActivity {
  const { fetches, bytes, errors, seconds, boundsSeconds, durations } = tally;
  return { path, fetches, bytes, errors, hedges: hedgesOf(tally), seconds, boundsSeconds, durations };
}
