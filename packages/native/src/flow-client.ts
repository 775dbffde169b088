import { MillpoolError } from '@millpool/protocol';

import { Batch } from './batch.ts';
import type { NativeBatch, NativeCancel, NativeClient, NativeClientState, NativeReadRequest } from './binding.ts';
import { DatasetFile } from './dataset-file.ts';
import { KnownReads } from './known-reads.ts';
import { binding } from './load.ts';
import { called, settled } from './native-error.ts';

export interface FlowClientConfig {
  /** Path of the daemon's socket. */
  readonly socket: string;
  /** For the first connection and for coming back after the daemon was restarted. */
  readonly timeoutMs: number;
  /** Memory for batches, in use and free; a read waits (`queue`) while all of it is held. */
  readonly ringBytes: number;
  /** False: all bytes come over the socket, nothing is mapped. Also off where MILLPOOL_NO_MAP=1 is set. */
  readonly canMap?: boolean;
}

/** Parts of samples, in bytes, one of each a sample; without them samples are read whole. */
export interface Ranges {
  readonly offsets: Float64Array;
  readonly lengths: Float64Array;
}

export interface ReadOptions {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  readonly ranges?: Ranges;
  /** The plan that this batch belongs to, and its place in it; the daemon learns both by the receipt. */
  readonly plan?: { readonly plan: number; readonly position: number };
}

/** Of the batches of one run, which belong to one plan. */
export interface RunOptions {
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** 0 is none. */
  readonly plan: number;
  /** The place in the plan after each batch. */
  readonly positions: readonly number[];
}

/** What one way of reading gave. */
export interface Replayed {
  readonly samples: number;
  readonly bytes: number;
  readonly seconds: number;
}

export type ClientState = NativeClientState;

/**
 * A connection to this node's daemon, and the ring that its batches lie in. Reconnects by itself within a call's
 * time-out. One a process (or worker) is enough: all its methods may be called at the same time.
 */
export class FlowClient {
  readonly #native: NativeClient;
  readonly ringBytes: number;

  private constructor(native: NativeClient, ringBytes: number) {
    this.#native = native;
    this.ringBytes = ringBytes;
  }

  /** Throws `unreachable`, naming the socket, or `unsupported` when the daemon speaks another version of flow. */
  static async connect(config: FlowClientConfig): Promise<FlowClient> {
    const canMap = (config.canMap ?? true) && process.env['MILLPOOL_NO_MAP'] !== '1';
    const { socket, timeoutMs, ringBytes } = config;
    const native = await settled(() => binding().connectFlow({ socket, timeoutMs, ringBytes, canMap }));
    return new FlowClient(native, ringBytes);
  }

  /** One control message and its reply; both are opaque here. */
  control(body: Uint8Array, options: { timeoutMs: number; signal?: AbortSignal }): Promise<Uint8Array> {
    return cancellable(options.signal, (cancel) => this.#native.control(body, options.timeoutMs, cancel));
  }

  /** Maps a dataset version (64 hex digits) that the daemon holds; throws `not-found` if it does not. */
  async dataset(version: string, options: { timeoutMs: number }): Promise<DatasetFile> {
    return DatasetFile.of(await settled(() => this.#native.dataset(version, options.timeoutMs)));
  }

  /** Reads the objects of a packed list (object-list.ts), in its order. Failed samples are errors of the batch. */
  readObjects(objects: Uint8Array, options: ReadOptions): Promise<Batch> {
    return this.#read(options, (request) => this.#native.readObjects(objects, request));
  }

  /** Reads samples of a dataset by index, in the order given. Failed samples are errors of the batch. */
  readSamples(dataset: DatasetFile, samples: Float64Array, options: ReadOptions): Promise<Batch> {
    return this.#read(options, (request) => this.#native.readSamples(dataset.native, samples, request));
  }

  /**
   * Reads the first of `batches` (sample numbers each) as `readSamples` does, and of those behind it as many as are
   * resident, for about a millisecond: one thread and one promise for all. Fewer may come back than were asked for.
   */
  async readRun(dataset: DatasetFile, batches: Float64Array[], options: RunOptions): Promise<readonly Batch[]> {
    const { timeoutMs, signal, plan, positions } = options;
    const start = (cancel: NativeCancel): Promise<NativeBatch[]> =>
      this.#native.readRun(dataset.native, batches, { timeoutMs, cancel, plan, positions });
    return kept(
      (await cancellable(signal, start)).map((native) => Batch.of(native)),
      signal,
    );
  }

  /** Reads of this dataset at once. */
  known(dataset: DatasetFile): KnownReads {
    return new KnownReads(this.#native, dataset);
  }

  /**
   * Reads samples again into a slot that is thrown away, and says how long memory and device took; what is not resident
   * is left out, and nothing is counted anywhere. Throws `timeout` where no slot is free.
   */
  async replay(dataset: DatasetFile, samples: Float64Array, options: { timeoutMs: number; signal: AbortSignal }) {
    const start = (cancel: NativeCancel): Promise<number[]> =>
      this.#native.replay(dataset.native, samples, { timeoutMs: options.timeoutMs, cancel });
    const numbers = await cancellable(options.signal, start);
    return { gather: replayed(numbers.slice(0, 3)), device: replayed(numbers.slice(3)) };
  }

  get state(): ClientState {
    return called(() => this.#native.state());
  }

  /** Ends every call under way with `closed`. Batches stay readable until they are released. Idempotent. */
  close(): void {
    this.#native.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #read(options: ReadOptions, start: (request: NativeReadRequest) => Promise<NativeBatch>): Promise<Batch> {
    const { timeoutMs, signal, ranges, plan } = options;
    const native = await cancellable(signal, (cancel) => start({ timeoutMs, cancel, ...ranges, ...plan }));
    const batch = Batch.of(native);
    kept([batch], signal);
    return batch;
  }
}

/** What came too late for a caller that gave up goes back to the ring. */
function kept(batches: readonly Batch[], signal: AbortSignal | undefined): readonly Batch[] {
  if (!signal?.aborted) return batches;
  for (const batch of batches) batch.release();
  throw cancelled(signal);
}

/** Runs a native call that ends, soon, when the signal aborts. */
async function cancellable<T>(signal: AbortSignal | undefined, start: (cancel: NativeCancel) => Promise<T>) {
  if (signal?.aborted) throw cancelled(signal);
  const cancel = called(() => new (binding().NativeCancel)());
  const onAbort = () => cancel.cancel();
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    return await settled(() => start(cancel));
  } finally {
    signal?.removeEventListener('abort', onAbort);
  }
}

function cancelled(signal: AbortSignal): MillpoolError {
  const shape = { code: 'cancelled', message: 'the caller gave up', remedy: '' } as const;
  return new MillpoolError(shape, { cause: signal.reason });
}

function replayed([samples = 0, bytes = 0, ns = 0]: readonly number[]): Replayed {
  return { samples, bytes, seconds: ns / 1e9 };
}
