import { formatBytes, formatDurationMs, jobFailuresLimitMax } from '@millpool/protocol';
import type { ErrorShape, JobStatus } from '@millpool/protocol';

import type { Tools } from './command-context.ts';
import { printable } from './output.ts';

/** All that a job could not load. */
export async function failuresOf(job: number, { session, signal }: Tools): Promise<readonly ErrorShape[]> {
  const all: ErrorShape[] = [];
  for (;;) {
    const request = { job, skip: all.length, limit: jobFailuresLimitMax };
    const { failures } = await session.call('job-failures', request, { signal });
    all.push(...failures);
    if (failures.length < jobFailuresLimitMax) return all;
  }
}

export function describeJob(status: JobStatus): string {
  const { path, filesDone, files, bytesDone, bytes, seconds, failureCount, error } = status;
  const failed = failureCount === 0 ? '' : `, ${failureCount} failed`;
  const why = error === null ? '' : `: ${error.message}`;
  return (
    `${printable(path)}: ${status.state}, ${filesDone} of ${files} files, ` +
    `${formatBytes(bytesDone)} of ${formatBytes(bytes)} in ${seconds.toFixed(1)} s${failed}${why}`
  );
}

/** Of bytes, or of files where there are no bytes. 100 % only when all is here. */
export function percentDone({ files, filesDone, bytes, bytesDone }: JobStatus): string {
  const share = bytes > 0 ? bytesDone / bytes : files > 0 ? filesDone / files : 1;
  return `${(Math.floor(share * 1000) / 10).toFixed(1)} %`;
}

/** How fast a job is and how long it will be, or how it ended. */
export function paceOf(status: JobStatus): readonly [rate: string, left: string] {
  const { state, bytesPerSecond, secondsLeft, endedAt } = status;
  if (state !== 'running') return ['', endedAt ?? ''];
  const rate = `${formatBytes(Math.round(bytesPerSecond))}/s`;
  return [rate, secondsLeft === null ? '' : `${formatDurationMs(Math.ceil(secondsLeft) * 1000)} left`];
}
