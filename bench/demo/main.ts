import { mkdtemp, rm, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { connect } from '@millpool/client';
import { asMillpoolError, formatBytes, MillpoolError } from '@millpool/protocol';
import { MillpoolNode } from '@millpool/test/harness';

import { serveDataset } from './dataset-source.ts';
import { runEpochs } from './epochs.ts';
import { Show } from './show.ts';

/** The data once in the source and once in the cache, and room to work. */
const neededBytes = 1.5 * 1024 ** 3;
const root = '/demo';

/**
 * The main job on real input: a bucket of small files, one daemon, and a training-like loop of three epochs. The first
 * epoch fetches and packs; the others come from the segments. Cleans up after itself, also when it is interrupted.
 */
async function demo(show: Show, stop: AbortSignal): Promise<void> {
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
    await using source = await serveDataset(join(directory, 'source'), show, stop);
    show.say(`Starting: millpool up ${source.uri} --at ${root}`);
    const node = await MillpoolNode.start({
      directory,
      sources: [source.uri],
      args: ['--at', root, '--size', formatBytes(1024 ** 3)],
      env: source.env,
    });
    try {
      await using mill = await connect({ socket: node.socket });
      await runEpochs(mill, { root, source: source.kind, control: `${node.socket}.control` }, show, stop);
    } finally {
      await node.stop();
    }
  } finally {
    await rm(directory, { recursive: true, force: true, maxRetries: 3 });
  }
}

const help = `Usage: npm run demo [-- --json | --help]

Three epochs over a bucket of small files, as a training script reads them. --json prints an object a line and nothing
else on stdout (with npm run --silent).
`;

const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => stop.abort(new MillpoolError({ code: 'cancelled', message: 'Interrupted.', remedy: '' })));
}
const words = process.argv.slice(2);
const unknown = words.find((word) => word !== '--json' && word !== '--help');
const show = new Show(words.includes('--json'));
if (words.includes('--help')) {
  process.stdout.write(help);
} else if (unknown !== undefined) {
  show.failure({ code: 'invalid', message: `The demo has no ${unknown}.`, remedy: 'See `npm run demo -- --help`.' });
  process.exitCode = 2;
} else {
  await demo(show, stop.signal).catch((error: unknown) => {
    // What fails because the demo is being ended is not what ended it.
    show.failure(asMillpoolError(stop.signal.aborted ? stop.signal.reason : error).shape);
    process.exitCode = stop.signal.aborted ? 130 : 1;
  });
}
