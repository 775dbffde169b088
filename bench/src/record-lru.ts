/** A cache of whole records that gives up the least recently read one: what a figure is held beside, simulated. */
export class RecordLru {
  readonly #capacityBytes: number;
  /** In the order in which they were read last. */
  readonly #held = new Map<number, number>();
  #bytes = 0;

  constructor(capacityBytes: number) {
    this.#capacityBytes = capacityBytes;
  }

  /** Reads a record; the bytes that had to be fetched for it. */
  read(record: number, bytes: number): number {
    const isHeld = this.#held.delete(record);
    this.#held.set(record, bytes);
    if (isHeld) return 0;
    this.#bytes += bytes;
    for (const [oldest, size] of this.#held) {
      if (this.#bytes <= this.#capacityBytes) break;
      this.#held.delete(oldest);
      this.#bytes -= size;
    }
    return bytes;
  }
}
