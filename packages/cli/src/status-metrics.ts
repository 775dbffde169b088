import { Metrics } from '@millpool/host';
import type { Status } from '@millpool/protocol';

const deviceStates = ['ok', 'full', 'failed'] as const;

/** A daemon's status in the text form of Prometheus. Counters begin at the daemon's start. */
export function statusMetrics(status: Status): string {
  const metrics = new Metrics();
  const { cache } = status;
  const gauge = (name: string, help: string, value: number): void => {
    metrics.gauge({ name: `millpool_${name}`, help, labels: [] }).set(value);
  };
  const total = (name: string, help: string, value: number): void => {
    metrics.counter({ name: `millpool_${name}_total`, help, labels: [] }).add(value);
  };
  gauge('uptime_seconds', 'Since the daemon started.', status.uptimeSeconds);
  gauge('resident_memory_bytes', 'Memory of the daemon, mapped segments included.', status.rssBytes);
  gauge('cache_records', 'Records in segments.', cache.records);
  gauge('cache_bytes', 'Bytes of records in segments.', cache.bytes);
  gauge('hit_ratio', 'Share of the samples read that needed no GET.', cache.hitRatio);
  total('samples_read', 'Samples that clients read.', cache.samples);
  total('source_requests', 'GETs that brought bytes.', cache.gets);
  total('source_bytes', 'Bytes that came from sources.', cache.sourceBytes);
  total('evicted_bytes', 'Bytes of segments that were given up to make room.', cache.evictedBytes);
  total('source_retries', 'GETs that were sent again.', cache.retries);
  total('source_errors', 'Fetches that failed in the end.', cache.sourceErrors);
  total('damaged_records', 'Records that did not match their checksum.', cache.damagedRecords);
  addDevices(metrics, status);
  addAttachments(metrics, status);
  return metrics.text();
}

function addDevices(metrics: Metrics, { devices }: Status): void {
  const size = metrics.gauge({ name: 'millpool_device_size_bytes', help: 'What it may hold.', labels: ['device'] });
  const used = metrics.gauge({ name: 'millpool_device_used_bytes', help: 'What it holds.', labels: ['device'] });
  const help = '1 for the state that it is in.';
  const inState = metrics.gauge({ name: 'millpool_device_state', help, labels: ['device', 'state'] });
  for (const { path, sizeBytes, usedBytes, state } of devices) {
    size.set(sizeBytes, path);
    used.set(usedBytes, path);
    for (const other of deviceStates) inState.set(other === state ? 1 : 0, path, other);
  }
}

function addAttachments(metrics: Metrics, { attachments }: Status): void {
  const labels = ['path'];
  const cached = metrics.gauge({ name: 'millpool_attachment_cached_bytes', help: 'Bytes of it in segments.', labels });
  const help = '1 where its source can be reached.';
  const reachable = metrics.gauge({ name: 'millpool_attachment_reachable', help, labels });
  for (const { path, cachedBytes, error } of attachments) {
    cached.set(cachedBytes, path);
    reachable.set(error === null ? 1 : 0, path);
  }
}
