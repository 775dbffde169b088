import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';

import { ensurePythonEnvironment } from '@millpool/test/harness';
import { MillpoolError } from '@millpool/protocol';

import { torchEnvironment } from '../src/python-program.ts';
import type { DemoNode } from './epochs.ts';
import type { EpochLine, Show } from './show.ts';
import { Trainer } from './trainer.ts';

const epochs = 6;
/** The run that is stopped, and the one that it is compared with. */
const short = { epochs: 2, stopAfter: 17, stoppedWorld: 2, resumedWorld: 3 };

/** What each step of a run read, all ranks together: by epoch and position. */
type Trace = ReadonlyMap<string, readonly number[]>;

/** Trains a network on the demo's images, measures it, and shows that a stopped run goes on exactly. */
export async function train(node: DemoNode, show: Show, stop: AbortSignal): Promise<void> {
  const had = await ensurePythonEnvironment(torchEnvironment, { say: (text) => show.say(text), signal: stop });
  if (had.kind === 'unavailable') {
    throw new MillpoolError({
      code: 'source-unavailable',
      message: `The demo cannot train: ${had.why}.`,
      remedy: 'Check that PyPI can be reached and that 6 GB are free, and run it again.',
    });
  }
  const trainer = new Trainer(join(had.what, 'bin', 'python'), node, stop);
  let verdict = { accuracy: 0, majority: 0 };
  const report = await trainer.run(['--epochs', String(epochs), '--digest'], 1, (line) => {
    if ('epoch' in line) show.epoch({ ...(line as EpochLine), source: node.source });
    else verdict = line as typeof verdict;
  });
  show.say(report);
  const resumedExactly = await resumesExactly(trainer, node.directory);
  show.verdict({ ...verdict, resumedExactly });
  if (!resumedExactly) process.exitCode = 1;
}

async function resumesExactly(trainer: Trainer, directory: string): Promise<boolean> {
  const { stopAfter, stoppedWorld, resumedWorld } = short;
  const [whole, parts] = [join(directory, 'whole'), join(directory, 'parts')];
  const args = ['--epochs', String(short.epochs), '--trace'];
  await trainer.run([...args, whole], 1);
  const resumable = [...args, parts, '--checkpoint', join(directory, 'checkpoint')];
  await trainer.run([...resumable, '--stop-after', String(stopAfter)], stoppedWorld);
  await trainer.run(resumable, resumedWorld);
  return isDeepStrictEqual(await traceOf(parts, resumedWorld), await traceOf(whole, 1));
}

/** Ranks are dealt a step contiguously, so that one after the other they give it whole. */
async function traceOf(file: string, ranks: number): Promise<Trace> {
  const trace = new Map<string, number[]>();
  for (let rank = 0; rank < ranks; rank += 1) {
    for (const line of (await readFile(`${file}.${rank}`, 'utf8')).trimEnd().split('\n')) {
      const { epoch, position, indices } = JSON.parse(line) as { epoch: number; position: number; indices: number[] };
      const step = `${epoch} ${position}`;
      trace.set(step, [...(trace.get(step) ?? []), ...indices]);
    }
  }
  return trace;
}
