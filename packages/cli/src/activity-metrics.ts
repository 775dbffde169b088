import { Metrics } from '@millpool/host';
import type { Counter, Gauge } from '@millpool/host';
import { waitCauses } from '@millpool/protocol';
import type { Activity, HedgeStatus, JobStatus, Status } from '@millpool/protocol';

const deviceStates = ['ok', 'full', 'failed'] as const;
const cacheStates = ['on', 'full', 'off'] as const;

/** What goes on at a daemon, in the text form of Prometheus. Counters begin at the daemon's start. */
export function activityMetrics(activity: Activity): string {
  const metrics = new Metrics();
  addDaemon(metrics, activity);
  addCache(metrics, activity.status);
  addReads(metrics, activity);
  addSources(metrics, activity);
  addDevices(metrics, activity.status);
  addAttachments(metrics, activity.status);
  addJobs(metrics, activity.jobs);
  addProcess(metrics);
  return metrics.text();
}

function addDaemon(metrics: Metrics, { status }: Activity): void {
  const help = '1; what runs is in the label.';
  metrics.gauge({ name: 'millpool_build_info', help, labels: ['version'] }).set(1, status.version);
  gauge(metrics, 'millpool_uptime_seconds', 'Since the daemon started.').set(status.uptimeSeconds);
  gauge(metrics, 'millpool_budget_bytes', 'What buffers and tables of the daemon may take.').set(status.budgetBytes);
}

function addCache(metrics: Metrics, { cache }: Status): void {
  const help = '1 for the state that it is in: full and off admit nothing.';
  const inState = metrics.gauge({ name: 'millpool_cache_state', help, labels: ['state'] });
  for (const state of cacheStates) inState.set(state === cache.state ? 1 : 0, state);
  gauge(metrics, 'millpool_cache_records', 'Records in segments.').set(cache.records);
  gauge(metrics, 'millpool_cache_bytes', 'Bytes of records in segments.').set(cache.bytes);
  gauge(metrics, 'millpool_hit_ratio', 'Share of the samples read that needed no GET.').set(cache.hitRatio);
  counter(metrics, 'millpool_evicted_bytes_total', 'Bytes of segments that were given up to make room.').add(
    cache.evictedBytes,
  );
  const copied = 'Bytes of live records that were copied out of segments, so that the rest of them came free.';
  counter(metrics, 'millpool_copied_bytes_total', copied).add(cache.copied.bytes);
  counter(metrics, 'millpool_copied_freed_bytes_total', 'Bytes that came free by that.').add(cache.copied.freedBytes);
  counter(metrics, 'millpool_demoted_bytes_total', 'Bytes moved to the slow tier.').add(cache.demotedBytes);
  counter(metrics, 'millpool_promoted_bytes_total', 'Bytes moved back from it.').add(cache.promotedBytes);
  counter(metrics, 'millpool_damaged_records_total', 'Records that did not match their checksum.').add(
    cache.damagedRecords,
  );
}

function addReads(metrics: Metrics, activity: Activity): void {
  const { read, fetchedAheadSamples, waitSeconds, readers, loaders } = activity;
  counter(metrics, 'millpool_samples_read_total', 'Samples that clients read.').add(read.samples);
  counter(metrics, 'millpool_samples_hit_total', 'Those found in segments, fetched ahead or not.').add(read.hitSamples);
  counter(metrics, 'millpool_samples_fetched_ahead_total', 'Samples fetched ahead of loaders.').add(
    fetchedAheadSamples,
  );
  counter(metrics, 'millpool_bytes_read_total', 'Bytes that clients read.').add(read.bytes);
  const help = 'Seconds that training loops waited for a batch, by what they waited for.';
  const waits = metrics.counter({ name: 'millpool_wait_seconds_total', help, labels: ['cause'] });
  for (const cause of waitCauses) waits.add(waitSeconds[cause], cause);
  gauge(metrics, 'millpool_readers', 'Processes connected that have read.').set(readers.length);
  gauge(metrics, 'millpool_loaders', 'Loaders in the middle of an epoch.').set(loaders.length);
}

function addSources(metrics: Metrics, { status, sources, fetching, queued }: Activity): void {
  counter(metrics, 'millpool_source_requests_total', 'GETs that brought bytes.').add(status.cache.gets);
  counter(metrics, 'millpool_source_bytes_total', 'Bytes that came from sources.').add(status.cache.sourceBytes);
  counter(metrics, 'millpool_source_retries_total', 'GETs that were sent again.').add(status.cache.retries);
  counter(metrics, 'millpool_source_errors_total', 'Fetches that failed in the end.').add(status.cache.sourceErrors);
  addHedges(metrics, status.cache.hedges);
  gauge(metrics, 'millpool_fetches_running', 'Fetches under way.').set(fetching);
  gauge(metrics, 'millpool_fetches_queued', 'Fetches that wait to begin.').set(queued);
  const help = 'How long records took to be fetched, with all that was tried again.';
  const durations = metrics.histogram({ name: 'millpool_fetch_seconds', help, labels: ['path'] });
  const labels = ['path'];
  const bytes = metrics.counter({ name: 'millpool_fetched_bytes_total', help: 'Bytes of those records.', labels });
  const failed = metrics.counter({ name: 'millpool_fetch_errors_total', help: 'Records not fetched.', labels });
  for (const { path, boundsSeconds, durations: counts, seconds, ...counted } of sources) {
    durations.set({ bounds: boundsSeconds, counts, sum: seconds }, path);
    bytes.add(counted.bytes, path);
    failed.add(counted.errors, path);
  }
}

function addHedges(metrics: Metrics, { sent, won, bytes, held }: HedgeStatus): void {
  counter(metrics, 'millpool_source_hedges_total', 'GETs sent a second time, the first being slow.').add(sent);
  counter(metrics, 'millpool_source_hedges_won_total', 'Second GETs that were faster than the first.').add(won);
  counter(metrics, 'millpool_source_hedged_bytes_total', 'Bytes that second GETs asked for.').add(bytes);
  counter(metrics, 'millpool_source_hedges_held_total', 'Slow GETs sent once: the cap, or a busy source.').add(held);
}

function addDevices(metrics: Metrics, { devices }: Status): void {
  const size = metrics.gauge({ name: 'millpool_device_size_bytes', help: 'What it may hold.', labels: ['device'] });
  const used = metrics.gauge({ name: 'millpool_device_used_bytes', help: 'What it holds.', labels: ['device'] });
  const tier = metrics.gauge({
    name: 'millpool_device_tier',
    help: '1; its tier is in the label.',
    labels: ['device', 'tier'],
  });
  const help = '1 for the state that it is in.';
  const inState = metrics.gauge({ name: 'millpool_device_state', help, labels: ['device', 'state'] });
  for (const { path, tier: of, sizeBytes, usedBytes, state } of devices) {
    tier.set(1, path, of);
    size.set(sizeBytes, path);
    used.set(usedBytes, path);
    for (const other of deviceStates) inState.set(other === state ? 1 : 0, path, other);
  }
}

function addAttachments(metrics: Metrics, { attachments, pins }: Status): void {
  const labels = ['path'];
  const cached = metrics.gauge({ name: 'millpool_attachment_cached_bytes', help: 'Bytes of it in segments.', labels });
  const help = '1 where its source can be reached.';
  const reachable = metrics.gauge({ name: 'millpool_attachment_reachable', help, labels });
  const rawHelp = 'What those are when they are read.';
  const raw = metrics.gauge({ name: 'millpool_attachment_raw_bytes', help: rawHelp, labels });
  for (const { path, cachedBytes, rawBytes, error } of attachments) {
    cached.set(cachedBytes, path);
    raw.set(rawBytes, path);
    reachable.set(error === null ? 1 : 0, path);
  }
  const pinned = metrics.gauge({ name: 'millpool_pinned_bytes', help: 'Bytes of files that are pinned.', labels });
  for (const { path, bytes } of pins) pinned.set(bytes, path);
}

function addJobs(metrics: Metrics, jobs: readonly JobStatus[]): void {
  const running = jobs.filter(({ state }) => state === 'running');
  const sum = (of: (job: JobStatus) => number): number => running.reduce((total, job) => total + of(job), 0);
  gauge(metrics, 'millpool_loads_running', 'Load jobs under way.').set(running.length);
  gauge(metrics, 'millpool_loads_bytes', 'Bytes that these are to bring.').set(sum(({ bytes }) => bytes));
  gauge(metrics, 'millpool_loads_done_bytes', 'Bytes that these have here and checked.').set(
    sum(({ bytesDone }) => bytesDone),
  );
}

/** By the names that every client library of Prometheus uses. This process is the daemon. */
function addProcess(metrics: Metrics): void {
  const { user, system } = process.cpuUsage();
  const cpu = { name: 'process_cpu_seconds_total', help: 'User and system CPU time.', labels: [] };
  metrics.counter(cpu).add((user + system) / 1e6);
  const memory = { name: 'process_resident_memory_bytes', help: 'Resident memory, mapped segments too.', labels: [] };
  metrics.gauge(memory).set(process.memoryUsage.rss());
  const start = { name: 'process_start_time_seconds', help: 'Start, in seconds since 1970.', labels: [] };
  metrics.gauge(start).set(performance.timeOrigin / 1_000);
}

function gauge(metrics: Metrics, name: string, help: string): Gauge {
  return metrics.gauge({ name, help, labels: [] });
}

function counter(metrics: Metrics, name: string, help: string): Counter {
  return metrics.counter({ name, help, labels: [] });
}
