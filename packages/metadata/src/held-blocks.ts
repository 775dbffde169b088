/** Whoever goes through entries, and holds a block of each of their streams meanwhile. */
export interface BlockHolder {
  /** Of its blocks, which it reads again when it goes on. */
  letGo(): void;
}

/** The blocks that all hold between them are so many at most, of 16 KiB each; those opened first let go of theirs. */
const blocksMax = 2_048;

export class HeldBlocks {
  readonly #of = new Map<BlockHolder, number>();
  #sum = 0;

  add(holder: BlockHolder, blocks: number): void {
    this.remove(holder);
    this.#of.set(holder, blocks);
    this.#sum += blocks;
    for (const other of this.#of.keys()) {
      if (this.#sum <= blocksMax || other === holder) return;
      other.letGo();
    }
  }

  remove(holder: BlockHolder): void {
    this.#sum -= this.#of.get(holder) ?? 0;
    this.#of.delete(holder);
  }
}
