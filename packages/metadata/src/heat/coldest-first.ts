/**
 * Slots as a binary heap by weight, put right only when the coldest is asked for: weights grow only, so a slot whose
 * weight is out of date stands too near to the top, never too far, and counting touches nothing here.
 */
export class ColdestFirst {
  readonly #weights: Float64Array;
  readonly #slots: Int32Array;
  /** The weights that the order goes by, by place. */
  readonly #known: Float64Array;
  #size = 0;

  /** `weights` is by slot, and belongs to who counts. */
  constructor(weights: Float64Array) {
    this.#weights = weights;
    this.#slots = new Int32Array(weights.length);
    this.#known = new Float64Array(weights.length);
  }

  /** A slot that has nothing yet: it is the coldest there is. */
  add(slot: number): void {
    let place = this.#size;
    this.#size += 1;
    while (place > 0) {
      const above = (place - 1) >> 1;
      this.#put(place, this.#slots[above] as number, this.#known[above] as number);
      place = above;
    }
    this.#put(0, slot, 0);
  }

  coldest(): number {
    for (;;) {
      const slot = this.#slots[0] as number;
      const weight = this.#weights[slot] as number;
      if (weight === this.#known[0]) return slot;
      this.#sink(slot, weight);
    }
  }

  scale(by: number): void {
    for (let place = 0; place < this.#size; place += 1) this.#known[place] = (this.#known[place] as number) * by;
  }

  #sink(slot: number, weight: number): void {
    let place = 0;
    for (;;) {
      let below = 2 * place + 1;
      if (below + 1 < this.#size && (this.#known[below + 1] as number) < (this.#known[below] as number)) below += 1;
      if (below >= this.#size || (this.#known[below] as number) >= weight) break;
      this.#put(place, this.#slots[below] as number, this.#known[below] as number);
      place = below;
    }
    this.#put(place, slot, weight);
  }

  #put(place: number, slot: number, weight: number): void {
    this.#slots[place] = slot;
    this.#known[place] = weight;
  }
}
