import { crc32 } from 'node:zlib';

import { connect } from '@millpool/client';
import type { Batch, Dataset, Report } from '@millpool/client';
import { formatBytes } from '@millpool/protocol';

import { ContentSum } from './content-sum.ts';
import { daemonStatus } from './daemon-status.ts';
import type { Show } from './show.ts';

const epochs = 3;
const batchSize = 256;

/** The daemon of the demo, and what is attached there. */
export interface DemoNode {
  readonly socket: string;
  readonly root: string;
  readonly source: 's3' | 'folder';
  /** For what the demo writes. */
  readonly directory: string;
}

/** Three epochs over everything below the root, shuffled anew each time, as a training script would read them. */
export async function readEpochs({ socket, root, source }: DemoNode, show: Show, stop: AbortSignal): Promise<void> {
  await using mill = await connect({ socket });
  const control = `${socket}.control`;
  const data = await mill.dataset(root);
  show.say(`Dataset version ${data.version.slice(0, 12)}: ${data.length} files, ${formatBytes(data.bytes)}.`);
  const loader = data.loader({ batchSize, shuffle: true, seed: 7 });
  let before = { report: loader.report(), cache: (await daemonStatus(control)).cache };
  for (let epoch = 1; epoch <= epochs; epoch += 1) {
    const { seconds, checksum } = await runEpoch(loader, data, { show, epoch, stop });
    const after = { report: loader.report(), cache: (await daemonStatus(control)).cache };
    const samples = after.report.samples - before.report.samples;
    const bytes = after.report.bytes - before.report.bytes;
    const sourceBytes = after.cache.sourceBytes - before.cache.sourceBytes;
    const gets = after.cache.gets - after.cache.hedges.sent - (before.cache.gets - before.cache.hedges.sent);
    show.epoch({
      epoch,
      samples,
      bytes,
      seconds,
      samplesPerSecond: samples / seconds,
      sourceBytes,
      cacheBytes: Math.max(0, bytes - sourceBytes),
      hitRatio: Math.max(0, 1 - gets / samples),
      waitSeconds: waitsBetween(before.report, after.report),
      checksum,
      source,
    });
    before = after;
  }
  show.say(loader.report().advice);
}

interface EpochRun {
  readonly show: Show;
  readonly epoch: number;
  readonly stop: AbortSignal;
}

/** One pass. Seconds are the loop's own: the time that checksums take is left out of them. */
async function runEpoch(
  loader: AsyncIterable<Batch>,
  data: Dataset,
  { show, epoch, stop }: EpochRun,
): Promise<{ readonly seconds: number; readonly checksum: string }> {
  const sum = new ContentSum();
  const bar = show.bar(`read in epoch ${epoch}`, data.bytes);
  const startMs = performance.now();
  let asideMs = 0;
  for await (using batch of loader) {
    stop.throwIfAborted();
    let bytes = 0;
    for (let i = 0; i < batch.length; i += 1) {
      const sample = batch.sample(i);
      bytes += sample.length;
      // The step of this loop: it looks at every byte once, as a decoder would.
      crc32(sample);
    }
    bar.advance(bytes);
    const pausedMs = performance.now();
    for (let i = 0; i < batch.length; i += 1) sum.add(batch.path(i), batch.sample(i));
    asideMs += performance.now() - pausedMs;
  }
  bar.stop();
  return { seconds: (performance.now() - startMs - asideMs) / 1000, checksum: sum.hex };
}

function waitsBetween(before: Report, after: Report): Record<string, number> {
  return Object.fromEntries(
    Object.entries(after.waitSeconds).map(([cause, seconds]) => [
      cause,
      seconds - before.waitSeconds[cause as keyof Report['waitSeconds']],
    ]),
  );
}
