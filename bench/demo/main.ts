import { mkdtemp, rm, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { asMillpoolError, formatBytes, MillpoolError } from '@millpool/protocol';
import { MillpoolNode } from '@millpool/test/harness';

import { ClusterShow } from './cluster-show.ts';
import { shareOneDirectory } from './cluster.ts';
import { serveDataset } from './dataset-source.ts';
import { readEpochs } from './epochs.ts';
import type { DemoNode } from './epochs.ts';
import { labelledFiles, mixedFiles } from './files.ts';
import { Show } from './show.ts';
import { train } from './training.ts';

/** The data once in the source and once in the cache, and room to work. */
const neededBytes = 1.5 * 1024 ** 3;
const root = '/demo';

/** What is shown: the data, and what is done with it. */
interface Play {
  readonly files: typeof mixedFiles;
  readonly run: (node: DemoNode, show: Show, stop: AbortSignal) => Promise<void>;
}

/** Three epochs of a training-like loop. The first one fetches and packs; the others come from the segments. */
const reading: Play = { files: mixedFiles, run: readEpochs };
/** A real network learns real images, in Python. */
const training: Play = { files: labelledFiles, run: train };

/** The main job on real input: a bucket, one daemon, a loop. Cleans up after itself, also when it is interrupted. */
async function demo({ files, run }: Play, show: Show, stop: AbortSignal): Promise<void> {
  const place = tmpdir();
  const { bavail, bsize } = await statfs(place);
  if (bavail * bsize < neededBytes) {
    throw new MillpoolError({
      code: 'full',
      message: `The demo needs ${formatBytes(neededBytes)} in ${place}; ${formatBytes(bavail * bsize)} are free.`,
      remedy: 'Free some space, or point TMPDIR at a place that has it.',
    });
  }
  const directory = await mkdtemp(join(place, 'millpool-demo-'));
  try {
    await using source = await serveDataset(await files(show, stop), join(directory, 'source'), show, stop);
    show.say(`Starting: millpool up ${source.uri} --at ${root}`);
    const node = await MillpoolNode.start({
      directory,
      sources: [source.uri],
      args: ['--at', root, '--size', formatBytes(1024 ** 3)],
      env: source.env,
    });
    try {
      await run({ socket: node.socket, root, source: source.kind, directory }, show, stop);
    } finally {
      await node.stop();
    }
  } finally {
    await rm(directory, { recursive: true, force: true, maxRetries: 3 });
  }
}

const help = `Usage: npm run demo [-- [--python | --cluster] [--json] | --help]

Three epochs over a bucket of small files, as a training script reads them. --python trains a small network on real
images with torch instead, and stops and resumes it with another number of processes. --cluster shows one directory of
200,000 files on four metadata nodes and two cache nodes: it gets hot, a node is killed, shards are moved. --json prints
an object a line and nothing else on stdout (with npm run --silent).
`;

const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => stop.abort(new MillpoolError({ code: 'cancelled', message: 'Interrupted.', remedy: '' })));
}
const words = process.argv.slice(2);
const unknown = words.find((word) => !['--json', '--python', '--cluster', '--help'].includes(word));
const isJson = words.includes('--json');
const show = new Show(isJson);
const isCluster = words.includes('--cluster');
if (words.includes('--help')) {
  process.stdout.write(help);
} else if (isCluster && words.includes('--python')) {
  show.failure({ code: 'invalid', message: 'The demo shows one of them at a time.', remedy: 'Leave one out.' });
  process.exitCode = 2;
} else if (unknown !== undefined) {
  show.failure({ code: 'invalid', message: `The demo has no ${unknown}.`, remedy: 'See `npm run demo -- --help`.' });
  process.exitCode = 2;
} else {
  const shown = isCluster
    ? shareOneDirectory(new ClusterShow(show, isJson), stop.signal)
    : demo(words.includes('--python') ? training : reading, show, stop.signal);
  await shown.catch((error: unknown) => {
    // What fails because the demo is being ended is not what ended it.
    show.failure(asMillpoolError(stop.signal.aborted ? stop.signal.reason : error).shape);
    process.exitCode = stop.signal.aborted ? 130 : 1;
  });
}
