import { formatBytes, waitCauses } from '@millpool/protocol';
import type { Activity, SecondsByCause, WaitCause } from '@millpool/protocol';

import { printable } from '../output.ts';
import { bar, fit, plain, sparkline, styled } from './drawing.ts';
import type { Canvas, Line } from './drawing.ts';
import { jobRate, loaderRates, ratesOf, readerRates } from './rates.ts';
import type { Rates } from './rates.ts';

/** Two readings, and what the last minutes were like. */
export interface Moment {
  readonly before: Activity;
  readonly now: Activity;
  /** Bytes a second, the newest last. */
  readonly history: readonly number[];
}

const barWidth = 20;
const labelWidth = 9;
/** A wait below this share of a second is none to speak of. */
const waitShown = 0.005;

/** All that a canvas has rows for, the most important first. */
export function viewOf({ before, now, history }: Moment, canvas: Canvas): readonly Line[] {
  const rates = ratesOf(before, now);
  const head = headLines(now, rates, history, canvas);
  const sections = [
    tierLines(now, canvas),
    loaderLines({ before, now, history }, rates, canvas),
    jobLines(before, now, rates, canvas),
    readerLines(before, now, rates),
  ].filter((lines) => lines.length > 0);
  const lines: Line[] = [...head];
  for (const [n, section] of sections.entries()) {
    const room = canvas.rows - lines.length - 1;
    // What follows gets its heading and a line, where there is room for more than this one.
    const later = 3 * (sections.length - n - 1);
    const shown = room - later >= 2 ? section.slice(0, room - later) : section.slice(0, Math.max(0, room));
    if (shown.length > 1) lines.push([], ...shown);
  }
  return lines.slice(0, canvas.rows);
}

function headLines(now: Activity, rates: Rates, history: readonly number[], canvas: Canvas): readonly Line[] {
  const { status, queued, fetching } = now;
  const { cache, version, uptimeSeconds, rssBytes, budgetBytes } = status;
  const hits = rates.hitRatio === null ? 'nothing read' : `${percent(rates.hitRatio)} of samples needed no GET`;
  const width = canvas.columns < 60 ? 0 : canvas.columns - 50;
  return [
    [
      styled('bold', `Millpool ${version}`),
      plain(`  up ${duration(uptimeSeconds)}  memory ${formatBytes(rssBytes)}, budget ${formatBytes(budgetBytes)}`),
      ...(cache.state === 'on' ? [] : [styled('yellow', `  cache ${cache.state}`)]),
    ],
    [],
    [
      label('read'),
      styled('bold', `${rate(rates.bytesPerSecond)}`.padEnd(14)),
      plain(`${count(rates.samplesPerSecond)} samples/s`.padEnd(24)),
      styled('cyan', sparkline(history, Math.min(60, width), canvas)),
    ],
    [
      label('source'),
      styled('bold', `${rate(rates.sourceBytesPerSecond)}`.padEnd(14)),
      plain(`${count(rates.getsPerSecond)} GETs/s, ${fetching} run, ${queued} wait${hedgesText(now, rates)}`),
    ],
    [
      label('hits'),
      styled(hitStyle(rates.hitRatio), bar(rates.hitRatio ?? 0, barWidth, canvas)),
      plain(`  ${hits}; ${percent(cache.hitRatio)} since the start`),
    ],
    [label('waits'), ...waitSpans(rates.waitSecondsPerSecond, 'no loop waits')],
    ...(cache.why === '' ? [] : [[label(''), styled('yellow', cache.why)]]),
  ];
}

/** Of the GETs that were sent twice: now, and since the start; nothing where none ever was. */
function hedgesText({ status }: Activity, { hedges }: Rates): string {
  const { sent, won } = status.cache.hedges;
  return sent === 0 ? '' : `, ${hedges.sent} sent twice (${sent} since the start, ${won} to advantage)`;
}

function hitStyle(hitRatio: number | null): 'green' | 'yellow' | 'dim' {
  if (hitRatio === null) return 'dim';
  return hitRatio > 0.9 ? 'green' : 'yellow';
}

/** Seconds that loops waited, a second; the longest first. */
function waitSpans(waits: SecondsByCause, none: string): Line {
  const shown = waitCauses.filter((cause) => waits[cause] >= waitShown).toSorted((a, b) => waits[b] - waits[a]);
  if (shown.length === 0) return [styled('dim', none)];
  return shown.flatMap((cause) => [styled(waitStyle(cause), cause), plain(` ${waits[cause].toFixed(2)} s/s  `)]);
}

function waitStyle(cause: WaitCause): 'red' | 'yellow' {
  return cause === 'source' || cause === 'device' || cause === 'peer' ? 'red' : 'yellow';
}

function tierLines({ status }: Activity, canvas: Canvas): readonly Line[] {
  const width = Math.min(48, Math.max(12, canvas.columns - 50));
  const styles = { ok: 'green', full: 'yellow', failed: 'red' } as const;
  return [
    heading('DEVICES'),
    ...status.devices.map(({ path, tier, usedBytes, sizeBytes, state }) => [
      plain(`  ${fit(printable(path), width)}  `),
      styled(styles[state], bar(sizeBytes === 0 ? 0 : usedBytes / sizeBytes, barWidth, canvas)),
      plain(`  ${formatBytes(usedBytes)} of ${formatBytes(sizeBytes)}${tier === 'slow' ? ', slow tier' : ''}`),
      ...(state === 'ok' ? [] : [styled(styles[state], `  ${state}`)]),
    ]),
  ];
}

function loaderLines({ before, now }: Moment, rates: Rates, canvas: Canvas): readonly Line[] {
  const loaders = loaderRates(before, now, rates);
  if (loaders.length === 0) return [];
  const widths = canvas.columns < 100 ? { process: 15, path: 10, bar: 6 } : { process: 24, path: 18, bar: 10 };
  return [
    heading(`LOADERS ${loaders.length}`),
    ...loaders.map(({ loader, reader, samplesPerSecond, bytesPerSecond, waitSecondsPerSecond }): Line => {
      const { path, epoch, samples, position, rank, world } = loader;
      const done = samples === 0 ? 1 : position / samples;
      return [
        plain(`  ${fit(processText(reader), widths.process)} ${fit(printable(path), widths.path)} `),
        plain(`epoch ${String(epoch).padEnd(3)} `),
        styled('green', bar(done, widths.bar, canvas)),
        plain(` ${percent(done).padStart(6)}  ${rate(bytesPerSecond).padStart(10)} `),
        plain(`${count(samplesPerSecond).padStart(8)}/s`),
        plain(world > 1 ? `  rank ${rank} of ${world}  ` : '  '),
        ...waitSpans(waitSecondsPerSecond, ''),
      ];
    }),
  ];
}

function processText(reader: { readonly pid: number; readonly program: string } | null): string {
  if (reader === null) return '-';
  const words = printable(reader.program).split(' ');
  const names = words.filter((word) => !word.startsWith('-')).map((word) => word.slice(word.lastIndexOf('/') + 1));
  return `${reader.pid} ${names.slice(0, 2).join(' ')}`.trim();
}

function jobLines(before: Activity, now: Activity, { seconds }: Rates, canvas: Canvas): readonly Line[] {
  const running = now.jobs.filter(({ state }) => state === 'running');
  if (running.length === 0) return [];
  return [
    heading(`LOADS ${running.length}`),
    ...running.map(({ job, path, bytes, bytesDone, failureCount }): Line => {
      const speed = jobRate(before, now, job, seconds);
      const left = speed > 0 ? `, ${duration((bytes - bytesDone) / speed)} left` : '';
      const done = bytes === 0 ? 0 : bytesDone / bytes;
      return [
        plain(`  ${String(job).padStart(4)}  ${fit(printable(path), 34)}  `),
        styled('green', bar(done, barWidth, canvas)),
        plain(
          ` ${percent(done).padStart(6)}  ${formatBytes(bytesDone)} of ${formatBytes(bytes)}, ${rate(speed)}${left}`,
        ),
        ...(failureCount === 0 ? [] : [styled('red', `  ${failureCount} failed`)]),
      ];
    }),
  ];
}

function readerLines(before: Activity, now: Activity, rates: Rates): readonly Line[] {
  const readers = readerRates(before, now, rates);
  if (readers.length === 0) return [];
  return [
    heading(`READERS ${readers.length}`),
    ...readers.map(({ reader, samplesPerSecond, bytesPerSecond }): Line => {
      const { read } = reader;
      const sum = `${formatBytes(read.bytes)} in ${count(read.samples)} samples so far`;
      return [
        plain(`  ${fit(processText(reader), 42)} ${rate(bytesPerSecond).padStart(10)} `),
        plain(`${count(samplesPerSecond).padStart(8)}/s  ${sum}`),
      ];
    }),
  ];
}

function heading(text: string): Line {
  return [styled('dim', text)];
}

function label(text: string): { readonly text: string; readonly style: 'dim' } {
  return { text: text.padEnd(labelWidth), style: 'dim' };
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

function rate(bytesPerSecond: number): string {
  return `${formatBytes(Math.round(bytesPerSecond))}/s`;
}

/** `950`, `12.3k`, `4.5M`. */
function count(value: number): string {
  if (value < 1_000) return String(Math.round(value));
  return value < 1e6 ? `${(value / 1e3).toFixed(1)}k` : `${(value / 1e6).toFixed(1)}M`;
}

function duration(seconds: number): string {
  if (seconds < 100) return `${Math.ceil(seconds)} s`;
  if (seconds < 6_000) return `${Math.round(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.round(seconds / 3_600)} h` : `${Math.round(seconds / 86_400)} d`;
}
