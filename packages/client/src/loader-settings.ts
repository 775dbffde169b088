import { MillpoolError } from '@millpool/protocol';

import { onErrorChoices } from './batch.ts';
import type { OnError } from './batch.ts';
import { parseLoaderState } from './loader-state.ts';
import type { LoaderState } from './loader-state.ts';

/** What a loader needs of its dataset. */
export interface SampleList {
  readonly length: number;
  readonly version: string;
  path(index: number): string;
}

/** What a user says of a loader; everything has a default. */
export interface LoaderOptions {
  /** Samples a step on this rank; with `resume` the state's global batch counts instead. Default 256. */
  readonly batchSize?: number;
  readonly shuffle?: boolean;
  readonly seed?: number;
  readonly epoch?: number;
  readonly rank?: number;
  readonly world?: number;
  /** Leave out what is left of an epoch after its last full step. */
  readonly dropLast?: boolean;
  /**
   * Batches read ahead; `auto` is 4, up to 16 of those that memory gives in a fraction of a millisecond or that the
   * loop waits for now and then, and none of those of 2 MiB at most that this process has read before: they are read
   * when they are asked for.
   */
  readonly prefetch?: 'auto' | number;
  /** `off`: the daemon is not told what will be read, for benchmarks that forbid it. */
  readonly hints?: 'on' | 'off';
  readonly onError?: OnError;
  /** Ends the iteration with `cancelled`, also in the middle of a wait. */
  readonly signal?: AbortSignal;
  /** What `loader.state()` returned, in any process and any world. */
  readonly resume?: LoaderState;
}

export interface LoaderSettings {
  readonly shuffle: boolean;
  readonly seed: number;
  readonly epoch: number;
  readonly position: number;
  readonly globalBatch: number;
  readonly rank: number;
  readonly world: number;
  readonly dropLast: boolean;
  /** Null: as many as serve. */
  readonly prefetchBatches: number | null;
  readonly hints: boolean;
  readonly onError: OnError;
  readonly signal: AbortSignal | null;
}

/** Fills in the defaults and checks everything; `invalid` names the option. */
export function checkLoaderOptions(options: LoaderOptions, dataset: SampleList): LoaderSettings {
  const { rank = 0, world = 1, prefetch = 'auto', hints = 'on', onError = 'raise' } = options;
  requireWhole('world', world, 1);
  requireWhole('rank', rank, 0);
  if (rank >= world) throw wrong('rank', rank, `below world (${world})`);
  if (hints !== 'on' && hints !== 'off') throw wrong('hints', hints, '"on" or "off"');
  if (!onErrorChoices.includes(onError)) throw wrong('onError', onError, onErrorChoices.join(', '));
  if (prefetch !== 'auto') requireWhole('prefetch', prefetch, 1);
  const prefetchBatches = prefetch === 'auto' ? null : prefetch;
  const signal = options.signal ?? null;
  return { ...orderOf(options, world, dataset), rank, world, prefetchBatches, hints: hints === 'on', onError, signal };
}

type OrderSettings = Pick<LoaderSettings, 'shuffle' | 'seed' | 'epoch' | 'position' | 'globalBatch' | 'dropLast'>;

/** What decides the order: from the state where there is one, else from the options. */
function orderOf(options: LoaderOptions, world: number, dataset: SampleList): OrderSettings {
  const { batchSize = 256, shuffle = false, seed = 0, epoch = 0, dropLast = false, resume } = options;
  if (resume === undefined) {
    requireWhole('batchSize', batchSize, 1);
    requireWhole('seed', seed, 0);
    requireWhole('epoch', epoch, 0);
    return { shuffle, seed, epoch, position: 0, globalBatch: batchSize * world, dropLast };
  }
  const state = parseLoaderState(resume);
  for (const name of ['batchSize', 'shuffle', 'seed', 'epoch', 'dropLast'] as const) {
    if (options[name] !== undefined) throw wrong(name, options[name], 'left out: the resumed state says it');
  }
  const [saved] = state.datasets;
  if (saved?.version !== dataset.version) {
    throw new MillpoolError({
      code: 'invalid',
      message: `The state is of dataset version ${saved?.version}; this dataset is ${dataset.version}.`,
      remedy: 'Open the dataset with { version } of the state, or start a new epoch on the new version.',
    });
  }
  if (state.position > dataset.length) throw wrong('resume.position', state.position, `at most ${dataset.length}`);
  const { shuffle: shuffled, seed: key, epoch: pass, position, globalBatch, dropLast: drops } = state;
  return { shuffle: shuffled, seed: key, epoch: pass, position, globalBatch, dropLast: drops };
}

function requireWhole(name: string, value: number, least: number): void {
  if (!Number.isSafeInteger(value) || value < least) throw wrong(name, value, `a whole number of ${least} or more`);
}

function wrong(name: string, value: unknown, wanted: string): MillpoolError {
  return new MillpoolError({
    code: 'invalid',
    message: `The loader's ${name} is ${JSON.stringify(value)}; it must be ${wanted}.`,
    remedy: 'Correct the option.',
  });
}
