import type { DatasetFile } from '@millpool/native';
import { joinPath, MillpoolError } from '@millpool/protocol';

import { settleBatch } from './batch.ts';
import type { Batch, OnError } from './batch.ts';
import type { DatasetRoad } from './dataset-road.ts';
import { Loader } from './loader.ts';
import type { LoaderOptions } from './loader.ts';

/** An immutable snapshot of a subtree: its files in path order, by number. */
export class Dataset {
  readonly #file: DatasetFile;
  readonly #road: DatasetRoad;

  /** For `Mill.dataset`. */
  constructor(file: DatasetFile, road: DatasetRoad) {
    this.#file = file;
    this.#road = road;
  }

  /** How many samples. */
  get length(): number {
    return this.#file.length;
  }

  /** Of all samples together. */
  get bytes(): number {
    return this.#file.bytes;
  }

  /** 64 hex digits: a hash of the list of paths, sizes and etags. The same content has the same version. */
  get version(): string {
    return this.#file.version;
  }

  /** Absolute path of a sample. */
  path(index: number): string {
    return joinPath(this.#file.root, this.#file.path(index));
  }

  /** Bytes of a sample. */
  size(index: number): number {
    return this.#file.size(index);
  }

  /** Samples by number, in the order given, in one round trip at most. */
  async readMany(
    indices: ArrayLike<number>,
    options: { readonly onError?: OnError; readonly signal?: AbortSignal; readonly timeoutSeconds?: number } = {},
  ): Promise<Batch> {
    const { onError = 'raise', signal, timeoutSeconds } = options;
    const samples = Float64Array.from(indices);
    const timeoutMs = timeoutSeconds === undefined ? this.#road.timeoutMs : timeoutSeconds * 1000;
    const read = await this.#road.flow.readSamples(this.#file, samples, signal ? { timeoutMs, signal } : { timeoutMs });
    const pathOf = (index: number): string => this.path(index);
    return settleBatch(read, { indices: samples, places: null, pathOf, errors: read.failures }, onError);
  }

  /**
   * Tells the daemon which samples will be asked for soon, in an order of the caller's own; a loader tells its order by
   * itself. Gives how many of the first ones were taken: not all where the cache has no room, or is busy with others.
   */
  async prefetch(
    indices: ArrayLike<number>,
    options: { readonly signal?: AbortSignal; readonly timeoutSeconds?: number } = {},
  ): Promise<number> {
    const numbers = BigUint64Array.from(Array.from(indices, (index) => this.#number(index)));
    const samples = new Uint8Array(numbers.buffer);
    return (await this.#road.call('prefetch', { version: this.version, samples }, options)).accepted;
  }

  #number(index: number): bigint {
    if (Number.isSafeInteger(index) && index >= 0 && index < this.length) return BigInt(index);
    throw new MillpoolError({
      code: 'invalid',
      message: `Sample ${index} is outside a dataset of ${this.length}.`,
      remedy: 'Give numbers from 0 on, below the length of the dataset.',
    });
  }

  /** Batches of it in a reproducible order. Nothing is read before the loader is iterated. */
  loader(options: LoaderOptions = {}): Loader {
    return new Loader(this, this.#file, this.#road, options);
  }
}
