import type { DatasetFile, Engine, Fetch } from '@millpool/native';
import { MillpoolError } from '@millpool/protocol';
import type { PrefetchRequest } from '@millpool/protocol';

import type { Datasets } from './datasets.ts';
import type { Ahead } from './plan.ts';

/** Asked of the engine in one call, so that what others ask comes between. */
const chunkSamples = 512;
/** Of the window that all plans divide, for each connection that hints. */
const windowShare = 1 / 4;
const numberBytes = 8;

interface Parts {
  readonly datasets: Datasets;
  readonly engine: Engine;
  readonly ahead: Ahead;
  /** One that nobody else has, by which the source's turns are divided. */
  readonly number: () => number;
}

/** Whoever hints, and what is under way for him. */
interface Asker {
  readonly number: number;
  readonly fetches: Set<Fetch>;
  bytes: number;
}

/**
 * Samples that somebody will ask for soon, in an order that the daemon cannot work out by itself. It fetches what is
 * missing of them, as far as there is room to keep it, and takes no more while it is busy with those before.
 */
export class SampleHints {
  readonly #parts: Parts;
  readonly #askers = new Map<number, Asker>();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** How many of the first ones it takes. Throws `invalid` for one that the dataset version does not have. */
  take(connection: number, { version, samples: packed }: PrefetchRequest): number {
    const file = this.#parts.datasets.open(version);
    const samples = numbersOf(packed, file);
    const asker = this.#askerOf(connection);
    const sampleBytes = Math.max(1, file.bytes / Math.max(1, file.length));
    const accepted = samples.subarray(0, this.#acceptable(asker, file, sampleBytes));
    for (let first = 0; first < accepted.length; first += chunkSamples) {
      const chunk = accepted.subarray(first, first + chunkSamples);
      void this.#fetch(asker, { version, chunk, bytes: chunk.length * sampleBytes });
    }
    return accepted.length;
  }

  /** What is under way for it ends by itself; nothing more is asked. */
  closeConnection(connection: number): void {
    for (const fetch of this.#askers.get(connection)?.fetches ?? []) fetch.cancel();
    this.#askers.delete(connection);
  }

  stop(): void {
    for (const connection of this.#askers.keys()) this.closeConnection(connection);
  }

  #askerOf(connection: number): Asker {
    const known = this.#askers.get(connection);
    if (known !== undefined) return known;
    const asker = { number: this.#parts.number(), fetches: new Set<Fetch>(), bytes: 0 };
    this.#askers.set(connection, asker);
    return asker;
  }

  #acceptable({ bytes }: Asker, file: DatasetFile, sampleBytes: number): number {
    const { engine, ahead } = this.#parts;
    const windowBytes = ahead.windowBytes * windowShare - bytes;
    // What would not be kept would come twice.
    const roomBytes = engine.room(file.identity) - ahead.bytes;
    return Math.max(0, Math.floor(Math.min(windowBytes, roomBytes) / sampleBytes));
  }

  async #fetch(
    asker: Asker,
    { version, chunk, bytes }: { readonly version: string; readonly chunk: Float64Array; readonly bytes: number },
  ): Promise<void> {
    const { engine, ahead } = this.#parts;
    asker.bytes += bytes;
    ahead.bytes += bytes;
    let fetch: Fetch | null = null;
    try {
      fetch = engine.fetchSamples(version, chunk, asker.number);
      asker.fetches.add(fetch);
      await fetch.done;
    } catch {
      // What fails here fails again in the samples' own reads, which have somebody to tell.
    } finally {
      if (fetch !== null) asker.fetches.delete(fetch);
      asker.bytes -= bytes;
      ahead.bytes -= bytes;
    }
  }
}

function numbersOf(packed: Uint8Array, file: DatasetFile): Float64Array {
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength);
  const samples = new Float64Array(packed.length / numberBytes);
  for (let i = 0; i < samples.length; i += 1) {
    const sample = Number(view.getBigUint64(i * numberBytes, true));
    if (sample >= file.length) throw outside(sample, file);
    samples[i] = sample;
  }
  return samples;
}

function outside(sample: number, { version, length }: DatasetFile): MillpoolError {
  return new MillpoolError({
    code: 'invalid',
    message: `Sample ${sample} is outside dataset version ${version}, which has ${length}.`,
    remedy: 'Give numbers from 0 on, below the length of the dataset.',
  });
}
