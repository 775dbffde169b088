import { setTimeout as sleep } from 'node:timers/promises';

import type { Command } from 'commander';
import { InvalidArgumentError } from 'commander';
import { formatBytes, MillpoolError, waitCauses } from '@millpool/protocol';
import type { Activity } from '@millpool/protocol';

import type { CommandContext, Tools } from '../command-context.ts';
import { jobRate, loaderRates, ratesOf, readerRates } from '../top/rates.ts';
import { Screen } from '../top/screen.ts';
import { viewOf } from '../top/view.ts';
import type { Moment } from '../top/view.ts';

interface TopOptions {
  readonly once?: boolean;
  readonly count?: number;
  readonly delay: number;
}

const historyMax = 300;
const delayDefault = 1;

export function topCommand(program: Command, context: CommandContext): void {
  program
    .command('top')
    .description('A live view: throughput, hits, devices, waits, and who is loading what')
    .option('--once', 'one reading, over the first delay, and no more')
    .option('-n, --count <n>', 'end after so many readings', wholeNumber)
    .option('-d, --delay <seconds>', 'between two readings', secondsOf, delayDefault)
    .addHelpText('after', '\nq quits. Without a terminal, and with --json, it is a line a reading.')
    .action((options: TopOptions) => context.run((tools) => runTop(options, tools)));
}

async function runTop({ once: isOnce, count, delay }: TopOptions, tools: Tools): Promise<void> {
  const readings = isOnce === true ? 1 : (count ?? Number.POSITIVE_INFINITY);
  const isLive = !tools.output.json && process.stdout.isTTY && isOnce !== true;
  if (isLive) return live(readings, delay * 1_000, tools);
  for await (const { before, now } of moments(readings, delay * 1_000, tools)) {
    tools.output.result(json(before, now), line(before, now));
  }
}

/** Reading after reading, each with the one before. */
async function* moments(readings: number, delayMs: number, { session, signal }: Tools): AsyncGenerator<Moment> {
  let before = await session.call('activity', {}, { signal });
  const history: number[] = [];
  for (let n = 0; n < readings; n += 1) {
    await sleep(delayMs, undefined, { signal }).catch(() => signal.throwIfAborted());
    const now = await session.call('activity', {}, { signal });
    history.push(ratesOf(before, now).bytesPerSecond);
    if (history.length > historyMax) history.shift();
    yield { before, now, history };
    before = now;
  }
}

async function live(readings: number, delayMs: number, tools: Tools): Promise<void> {
  const stop = new AbortController();
  let last: Moment | null = null;
  const draw = (): void => {
    if (last !== null) screen.show(viewOf(last, screen.canvas));
  };
  let isInterrupted = false;
  const screen = new Screen(process.stdout, process.stdin, {
    quit: () => stop.abort(),
    interrupt: () => {
      isInterrupted = true;
      stop.abort();
    },
    redraw: draw,
  });
  const ended = AbortSignal.any([tools.signal, stop.signal]);
  const first = await tools.session.call('activity', {}, { signal: ended });
  screen.open();
  try {
    last = { before: first, now: first, history: [] };
    draw();
    for await (const moment of moments(readings, delayMs, { ...tools, signal: ended })) {
      last = moment;
      draw();
    }
  } catch (error) {
    // Who typed q has seen enough; whatever was under way ended by it.
    if (!stop.signal.aborted) throw error;
  } finally {
    screen.close();
  }
  if (isInterrupted) throw new MillpoolError({ code: 'cancelled', message: 'Interrupted.', remedy: '' });
}

function json(before: Activity, now: Activity): object {
  const rates = ratesOf(before, now);
  const { status, fetching, queued } = now;
  const { cache, devices, rssBytes, uptimeSeconds } = status;
  return {
    at: new Date().toISOString(),
    ...rates,
    fetching,
    queued,
    uptimeSeconds,
    rssBytes,
    cacheState: cache.state,
    devices,
    loaders: loaderRates(before, now, rates).map(({ loader, reader, ...rate }) => {
      const { path, version, epoch, rank, world, samples, position } = loader;
      const told = { path, version, epoch, rank, world, samples, position };
      return { ...told, ...rate, pid: reader?.pid ?? null, program: reader?.program ?? null };
    }),
    readers: readerRates(before, now, rates).map(({ reader, ...rate }) => {
      const { pid, program, read } = reader;
      return { pid, program, ...read, ...rate };
    }),
    jobs: now.jobs
      .filter(({ state }) => state === 'running')
      .map(({ job, path, files, filesDone, bytes, bytesDone, failureCount }) => {
        const bytesPerSecond = jobRate(before, now, job, rates.seconds);
        return { job, path, files, filesDone, bytes, bytesDone, failureCount, bytesPerSecond };
      }),
  };
}

/** For who reads it in a log. */
function line(before: Activity, now: Activity): string {
  const rates = ratesOf(before, now);
  const waits = waitCauses
    .filter((cause) => rates.waitSecondsPerSecond[cause] >= 0.005)
    .map((cause) => `${cause} ${rates.waitSecondsPerSecond[cause].toFixed(2)} s/s`);
  const hits = rates.hitRatio === null ? '-' : `${(100 * rates.hitRatio).toFixed(1)} %`;
  return [
    new Date().toISOString(),
    `${Math.round(rates.samplesPerSecond)} samples/s`,
    `read ${formatBytes(Math.round(rates.bytesPerSecond))}/s`,
    `source ${formatBytes(Math.round(rates.sourceBytesPerSecond))}/s`,
    ...(rates.hedges.sent === 0 ? [] : [`hedges ${rates.hedges.sent}, ${rates.hedges.won} won`]),
    `hits ${hits}`,
    `loaders ${now.loaders.length}`,
    `loads ${now.jobs.filter(({ state }) => state === 'running').length}`,
    `waits ${waits.length === 0 ? 'none' : waits.join(' ')}`,
  ].join('  ');
}

function wholeNumber(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError('It is a whole number of 1 or more.');
  return Number(text);
}

function secondsOf(text: string): number {
  const seconds = Number(text);
  if (/^\d+(\.\d+)?$/.test(text) && seconds >= 0.1 && seconds <= 3_600) return seconds;
  throw new InvalidArgumentError('It is a number of seconds from 0.1 to 3600.');
}
