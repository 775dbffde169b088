import { waitCauses } from '@millpool/protocol';
import type { Activity, LoaderActivity, ReaderActivity, SecondsByCause, SourceHedges } from '@millpool/protocol';

/** What went on between two readings, a second. */
export interface Rates {
  readonly seconds: number;
  readonly samplesPerSecond: number;
  /** Delivered to clients. */
  readonly bytesPerSecond: number;
  /** Fetched from sources, for clients, plans and loads. */
  readonly sourceBytesPerSecond: number;
  readonly getsPerSecond: number;
  /** GETs that were sent a second time, the first being slow, between the two; and how often the second was first. */
  readonly hedges: SourceHedges;
  /** Of the samples read, those that needed no GET; null where none was read. */
  readonly hitRatio: number | null;
  /** Seconds that loops waited, a second: 1 is one loop that does nothing else. */
  readonly waitSecondsPerSecond: SecondsByCause;
}

export function ratesOf(before: Activity, now: Activity): Rates {
  const seconds = Math.max(1e-3, now.atSeconds - before.atSeconds);
  const rate = (count: (activity: Activity) => number): number => grown(count(before), count(now)) / seconds;
  const samples = grown(before.read.samples, now.read.samples);
  const ahead = grown(before.fetchedAheadSamples, now.fetchedAheadSamples);
  const hits = grown(before.read.hitSamples, now.read.hitSamples) - ahead;
  return {
    seconds,
    samplesPerSecond: samples / seconds,
    bytesPerSecond: rate(({ read }) => read.bytes),
    sourceBytesPerSecond: rate(({ status }) => status.cache.sourceBytes),
    getsPerSecond: rate(({ status }) => status.cache.gets),
    hedges: {
      sent: grown(before.status.cache.hedges.sent, now.status.cache.hedges.sent),
      won: grown(before.status.cache.hedges.won, now.status.cache.hedges.won),
    },
    hitRatio: samples === 0 ? null : Math.min(1, Math.max(0, hits / samples)),
    waitSecondsPerSecond: waitsBetween(before.waitSeconds, now.waitSeconds, seconds),
  };
}

export interface ReadRate {
  readonly samplesPerSecond: number;
  readonly bytesPerSecond: number;
}

export interface LoaderRate extends ReadRate {
  readonly loader: LoaderActivity;
  readonly reader: ReaderActivity | null;
  readonly waitSecondsPerSecond: SecondsByCause;
}

/** The busiest first. */
export function loaderRates(before: Activity, now: Activity, { seconds }: Rates): readonly LoaderRate[] {
  return now.loaders
    .map((loader) => {
      const former = before.loaders.find(({ plan }) => plan === loader.plan);
      const since = former?.waitSeconds ?? loader.waitSeconds;
      return {
        loader,
        reader: now.readers.find(({ connection }) => connection === loader.connection) ?? null,
        waitSecondsPerSecond: waitsBetween(since, loader.waitSeconds, seconds),
        ...readRate(former ?? null, loader, seconds),
      };
    })
    .toSorted((left, right) => right.bytesPerSecond - left.bytesPerSecond);
}

export interface ReaderRate extends ReadRate {
  readonly reader: ReaderActivity;
}

/** Those that have read anything, the busiest first. */
export function readerRates(before: Activity, now: Activity, { seconds }: Rates): readonly ReaderRate[] {
  return now.readers
    .filter(({ read }) => read.samples > 0)
    .map((reader) => {
      const former = before.readers.find(({ connection }) => connection === reader.connection) ?? null;
      return { reader, ...readRate(former, reader, seconds) };
    })
    .toSorted((left, right) => right.bytesPerSecond - left.bytesPerSecond);
}

/** Bytes a second of a job that runs. */
export function jobRate(before: Activity, now: Activity, job: number, seconds: number): number {
  const done = (activity: Activity): number | undefined => activity.jobs.find((other) => other.job === job)?.bytesDone;
  return grown(done(before) ?? 0, done(now) ?? 0) / seconds;
}

function readRate(
  before: Pick<ReaderActivity, 'read'> | null,
  now: Pick<ReaderActivity, 'read'>,
  seconds: number,
): ReadRate {
  return {
    samplesPerSecond: grown(before?.read.samples ?? 0, now.read.samples) / seconds,
    bytesPerSecond: grown(before?.read.bytes ?? 0, now.read.bytes) / seconds,
  };
}

function waitsBetween(before: SecondsByCause, now: SecondsByCause, seconds: number): SecondsByCause {
  const rates = waitCauses.map((cause) => [cause, grown(before[cause], now[cause]) / seconds]);
  return Object.fromEntries(rates) as SecondsByCause;
}

/** A count that is smaller than before is of a daemon that was started again. */
function grown(before: number, now: number): number {
  return now >= before ? now - before : now;
}
