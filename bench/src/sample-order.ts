import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { Order } from '@millpool/native';

export const seed = 7;

/** The orders in which laps read, as the loader shuffles them: lap n is epoch n. */
export class SampleOrder {
  readonly #directory: string;
  readonly #count: number;
  readonly #written = new Map<number, string>();

  constructor(directory: string, count: number) {
    this.#directory = directory;
    this.#count = count;
  }

  /** A file of the sample numbers of an epoch, or of its first few: little-endian u32. */
  async file(epoch: number, first = this.#count): Promise<string> {
    const found = this.#written.get(epoch);
    if (found !== undefined) return found;
    const order = new Order({ count: this.#count, seed, epoch, shuffle: true });
    const path = join(this.#directory, `order-${epoch}`);
    await writeFile(path, Uint32Array.from(order.samples(0, first)));
    this.#written.set(epoch, path);
    return path;
  }
}
