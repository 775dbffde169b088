import { MillpoolError } from '@millpool/protocol';

import type { NativeBatch } from './binding.ts';
import { called, errorOf, remedyFor } from './native-error.ts';

/**
 * Where a sample's bytes came from: a segment on this node; the under-storage, by a GET that this read began; or by one
 * that somebody else had begun, a plan or another reader.
 */
export type Origin = 'hit' | 'fetched' | 'joined' | 'failed';

/** Nanoseconds that a batch was waited for, by cause (docs/concepts.md). */
export interface Waits {
  readonly sourceNs: number;
  readonly peerNs: number;
  readonly deviceNs: number;
  readonly gatherNs: number;
  readonly queueNs: number;
}

/** What a batch is counted by. */
export type BatchTotals = Pick<
  Batch,
  'length' | 'hits' | 'bytes' | 'fetchedBytes' | 'device' | 'deviceBytes' | 'waits'
>;

interface Made {
  readonly totals: BatchTotals;
  readonly errors: ReadonlyMap<number, MillpoolError>;
  readonly heir: ((native: NativeBatch) => void) | null;
}

const noErrors: ReadonlyMap<number, MillpoolError> = new Map();
const originNames: readonly Origin[] = ['failed', 'hit', 'fetched', 'joined'];

/**
 * The samples of one read, in one slot of the ring. Views are made when asked for and belong to the batch: `release`
 * detaches them (their length becomes 0) and gives the slot back. A batch that is dropped without it gives its slot
 * back only when the garbage collector finds it.
 */
export class Batch {
  readonly #native: NativeBatch;
  readonly #errors: ReadonlyMap<number, MillpoolError>;
  /** Start and length of each sample; asked for with the first view. */
  #layout: Float64Array | null = null;
  #origins: Uint8Array | null = null;
  #buffer: ArrayBuffer | null = null;
  #released = false;
  /** Who uses the native batch again, once it is released. */
  readonly #heir: ((native: NativeBatch) => void) | null;
  readonly length: number;
  /** Samples that needed no GET of their own. */
  readonly hits: number;
  /** Of all samples that were read. */
  readonly bytes: number;
  /** Of samples for which this read began a GET. */
  readonly fetchedBytes: number;
  /** Samples in segments that were not in this process's memory, and their bytes. */
  readonly device: number;
  readonly deviceBytes: number;
  readonly waits: Waits;

  private constructor(native: NativeBatch, { totals, errors, heir }: Made) {
    this.#native = native;
    this.#errors = errors;
    this.#heir = heir;
    this.length = totals.length;
    this.hits = totals.hits;
    this.bytes = totals.bytes;
    this.fetchedBytes = totals.fetchedBytes;
    this.device = totals.device;
    this.deviceBytes = totals.deviceBytes;
    this.waits = totals.waits;
  }

  static of(native: NativeBatch): Batch {
    const all = native.totals();
    const [length = 0, failed = 0, hits = 0, device = 0, bytes = 0, fetchedBytes = 0, deviceBytes = 0] = all;
    const [sourceNs = 0, peerNs = 0, deviceNs = 0, gatherNs = 0, queueNs = 0] = all.slice(7);
    const waits = { sourceNs, peerNs, deviceNs, gatherNs, queueNs };
    const totals = { length, hits, bytes, fetchedBytes, device, deviceBytes, waits };
    return new Batch(native, { totals, errors: failed === 0 ? noErrors : errorsOf(native), heir: null });
  }

  /** Of which every sample is a hit. `heir` gets the native batch when this one is released. */
  static ofHits(native: NativeBatch, totals: BatchTotals, heir: (native: NativeBatch) => void): Batch {
    return new Batch(native, { totals, errors: noErrors, heir });
  }

  get failures(): ReadonlyMap<number, MillpoolError> {
    return this.#errors;
  }

  get released(): boolean {
    return this.#released;
  }

  /**
   * A view of sample `i`; it belongs to the batch. Throws the sample's own error if it failed, `closed` after release,
   * `invalid` outside [0, length).
   */
  sample(i: number): Uint8Array {
    this.#check(i);
    const error = this.#errors.get(i);
    if (error) throw error;
    this.#buffer ??= called(() => this.#native.buffer());
    const layout = (this.#layout ??= this.#native.layout());
    return new Uint8Array(this.#buffer, layout[2 * i]!, layout[2 * i + 1]!);
  }

  /** The bytes of sample `i`, the caller's own. */
  copy(i: number): Uint8Array {
    return Uint8Array.from(this.sample(i));
  }

  error(i: number): MillpoolError | undefined {
    this.#check(i);
    return this.#errors.get(i);
  }

  origin(i: number): Origin {
    this.#check(i);
    const origins = (this.#origins ??= this.#native.origins());
    return originNames[origins[i]!]!;
  }

  /** Idempotent. */
  release(): void {
    if (this.#released) return;
    this.#released = true;
    this.#buffer = null;
    called(() => this.#native.release());
    this.#heir?.(this.#native);
  }

  [Symbol.dispose](): void {
    this.release();
  }

  #check(i: number): void {
    if (this.#released) {
      throw new MillpoolError({
        code: 'closed',
        message: 'the batch was released',
        remedy: 'Use copy(i) for bytes that outlive it.',
      });
    }
    if (!Number.isInteger(i) || i < 0 || i >= this.length) {
      const message = `sample ${i} is outside this batch of ${this.length}`;
      throw new MillpoolError({ code: 'invalid', message, remedy: remedyFor('invalid') });
    }
  }
}

function errorsOf(native: NativeBatch): ReadonlyMap<number, MillpoolError> {
  return new Map(native.failures().map((row) => [row.index, errorOf(row.code, row.message)]));
}
