import { Batch } from './batch.ts';
import type { NativeBatch, NativeClient, NativeKnown } from './binding.ts';
import type { DatasetFile } from './dataset-file.ts';
import { binding } from './load.ts';
import { called } from './native-error.ts';

/** Reads batches of one dataset at once, on the caller's thread, where that is no wait. */
export class KnownReads {
  readonly #native: NativeKnown;
  readonly #row = new Float64Array(3);
  /** Of batches that were released: making one costs as much as reading a few samples. */
  readonly #spare: NativeBatch[] = [];
  readonly #inherit = (native: NativeBatch): void => void this.#spare.push(native);

  constructor(client: NativeClient, dataset: DatasetFile) {
    this.#native = called(() => client.known(dataset.native));
  }

  /**
   * These samples, if this process has read each of them before and finds them in memory, and they are 2 MiB together
   * at most. Null: nothing was read.
   */
  read(samples: Float64Array, plan: number, position: number): Batch | null {
    const [row, batch] = [this.#row, this.#spare.pop() ?? new (binding().NativeBatch)()];
    row[0] = plan;
    row[1] = position;
    if (!called(() => this.#native.read(samples, batch, row))) {
      this.#spare.push(batch);
      return null;
    }
    const [bytes = 0, deviceNs = 0, gatherNs = 0] = row;
    const { length } = samples;
    const waits = { sourceNs: 0, peerNs: 0, deviceNs, gatherNs, queueNs: 0 };
    const totals = { length, hits: length, bytes, fetchedBytes: 0, device: 0, deviceBytes: 0, waits };
    return Batch.ofHits(batch, totals, this.#inherit);
  }
}
