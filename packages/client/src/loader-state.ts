import { MillpoolError } from '@millpool/protocol';

/** Of the order: which permutation a seed means. A state of another version is refused, never read as this one. */
export const orderVersion = 1;

/**
 * Where a loader stands, under 1 kB of JSON, the same in every language. It names no rank and no world: whoever resumes
 * brings those, and the order of the samples does not depend on them.
 */
export interface LoaderState {
  readonly format: 'millpool-loader-1';
  readonly orderVersion: number;
  readonly datasets: readonly { readonly version: string; readonly weight: number }[];
  readonly seed: number;
  readonly epoch: number;
  /** Samples delivered to the whole world in this epoch; a step boundary. */
  readonly position: number;
  /** Samples a step over the whole world. */
  readonly globalBatch: number;
  readonly shuffle: boolean;
  readonly dropLast: boolean;
}

const wholeNumber = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

/** Checks what came from a checkpoint; `invalid` names the field that is wrong. */
export function parseLoaderState(value: unknown): LoaderState {
  const state = (typeof value === 'object' && value !== null ? value : {}) as Record<string, unknown>;
  const wrong = (field: string, wanted: string): MillpoolError =>
    new MillpoolError({
      code: 'invalid',
      message: `The loader state's ${field} is ${JSON.stringify(state[field]) ?? 'missing'}; it must be ${wanted}.`,
      remedy: 'Pass what loader.state() returned, unchanged.',
    });
  if (state['format'] !== 'millpool-loader-1') throw wrong('format', '"millpool-loader-1"');
  if (state['orderVersion'] !== orderVersion) throw wrong('orderVersion', `${orderVersion}, the order of this release`);
  for (const field of ['seed', 'epoch', 'position', 'globalBatch']) {
    if (!wholeNumber(state[field])) throw wrong(field, 'a whole number of 0 or more');
  }
  if (state['globalBatch'] === 0) throw wrong('globalBatch', '1 or more');
  for (const field of ['shuffle', 'dropLast']) {
    if (typeof state[field] !== 'boolean') throw wrong(field, 'true or false');
  }
  const [dataset, ...others] = Array.isArray(state['datasets']) ? (state['datasets'] as unknown[]) : [];
  const version = (dataset as { version?: unknown } | undefined)?.version;
  if (others.length > 0 || typeof version !== 'string' || !/^[0-9a-f]{64}$/.test(version)) {
    throw wrong('datasets', 'a list of one dataset version');
  }
  return {
    format: 'millpool-loader-1',
    orderVersion,
    datasets: [{ version, weight: 1 }],
    seed: state['seed'] as number,
    epoch: state['epoch'] as number,
    position: state['position'] as number,
    globalBatch: state['globalBatch'] as number,
    shuffle: state['shuffle'] as boolean,
    dropLast: state['dropLast'] as boolean,
  };
}
