import type { Batch as NativeBatch } from '@millpool/native';
import { MillpoolError } from '@millpool/protocol';

/**
 * What becomes of samples that cannot be read: `raise` rejects the batch, `skip` leaves them out (the batch is
 * shorter), `keep` leaves their place, where `batch.error(i)` tells why.
 */
export const onErrorChoices = ['raise', 'skip', 'keep'] as const;
export type OnError = (typeof onErrorChoices)[number];

/** What a batch's samples are called, and where in the read they lie. */
export interface BatchRows {
  /** Per sample: its number in what was asked for (a dataset, or a list of paths). */
  readonly indices: Float64Array;
  /** Per sample: its place in the read; null where all were asked for and each has its own place. */
  readonly places: Int32Array | null;
  /** The path of a number of `indices`. */
  readonly pathOf: (index: number) => string;
  /** By place in this batch: why a sample could not be read. */
  readonly errors: ReadonlyMap<number, MillpoolError>;
}

/**
 * The samples of one read, in one slot of this process's ring. Views belong to the batch: after `release` (or the end
 * of its `using` block) they are detached and its methods throw `closed`; `copy(i)` is yours for good.
 */
export class Batch {
  readonly #read: NativeBatch;
  readonly #rows: BatchRows;

  constructor(read: NativeBatch, rows: BatchRows) {
    this.#read = read;
    this.#rows = rows;
  }

  get length(): number {
    return this.#rows.indices.length;
  }

  /** A view of sample `i`. Throws its error if it failed. */
  sample(i: number): Uint8Array {
    const error = this.#rows.errors.get(i);
    if (error !== undefined) throw error;
    return this.#read.sample(this.#rows.places === null ? i : (this.#rows.places[i] ?? -1));
  }

  copy(i: number): Uint8Array {
    return this.sample(i).slice();
  }

  /** Which one it is: its number in the dataset, or in the list of paths that was asked for. */
  index(i: number): number {
    this.#check(i);
    return this.#rows.indices[i] ?? -1;
  }

  path(i: number): string {
    return this.#rows.pathOf(this.index(i));
  }

  /** Why sample `i` could not be read; undefined where it was. */
  error(i: number): MillpoolError | undefined {
    this.#check(i);
    return this.#rows.errors.get(i);
  }

  /** Detaches the views and gives the slot back. Idempotent. */
  release(): void {
    this.#read.release();
  }

  [Symbol.dispose](): void {
    this.release();
  }

  #check(i: number): void {
    if (this.#read.released) {
      throw new MillpoolError({
        code: 'closed',
        message: 'This batch was released.',
        remedy: 'Use its samples inside the loop, or take copy(i) of what must outlive it.',
      });
    }
    if (Number.isInteger(i) && i >= 0 && i < this.length) return;
    throw new MillpoolError({
      code: 'invalid',
      message: `Sample ${i} is outside this batch of ${this.length}.`,
      remedy: 'Use an index from 0 to batch.length - 1.',
    });
  }
}

/** A read as the batch that `onError` asks for; under `raise` the first failure is thrown and the slot given back. */
export function settleBatch(read: NativeBatch, rows: BatchRows, onError: OnError): Batch {
  const { errors } = rows;
  if (errors.size === 0 || onError === 'keep') return new Batch(read, rows);
  if (onError === 'skip') return new Batch(read, withoutErrors(rows));
  const [first] = [...errors].sort(([a], [b]) => a - b);
  read.release();
  const [place, error] = first as [number, MillpoolError];
  const path = rows.pathOf(rows.indices[place] ?? -1);
  throw new MillpoolError({ ...error.shape, path }, { cause: error });
}

function withoutErrors(rows: BatchRows): BatchRows {
  const kept = Array.from(rows.indices.keys()).filter((i) => !rows.errors.has(i));
  return {
    indices: Float64Array.from(kept, (i) => rows.indices[i] ?? -1),
    places: Int32Array.from(kept, (i) => (rows.places === null ? i : (rows.places[i] ?? -1))),
    pathOf: rows.pathOf,
    errors: new Map(),
  };
}
