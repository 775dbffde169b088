/**
 * The names of a directory that are looked up most, for many directories: SpaceSaving (Metwally, Agrawal and El Abbadi,
 * ICDT 2005) with four places each. A name with more than a quarter of the weight is always in one. What a place
 * took over from the name before is kept apart, so a name's own weight is never overstated.
 */
export class EntrySketches {
  readonly #names: Int32Array;
  readonly #weights: Float64Array;
  readonly #inherited: Float64Array;

  constructor(slots: number) {
    this.#names = new Int32Array(slots * places);
    this.#weights = new Float64Array(slots * places);
    this.#inherited = new Float64Array(slots * places);
  }

  /** `name` is the hash of a name as a signed number: greater ones would be objects. */
  count(slot: number, name: number, weight: number): void {
    const weights = this.#weights;
    const end = (slot + 1) * places;
    let least = end - places;
    for (let at = least; at < end; at += 1) {
      if (this.#names[at] === name) {
        weights[at] = (weights[at] as number) + weight;
        return;
      }
      if ((weights[at] as number) < (weights[least] as number)) least = at;
    }
    this.#names[least] = name;
    this.#inherited[least] = weights[least] as number;
    weights[least] = (weights[least] as number) + weight;
  }

  /** The name with the most weight of its own; null where none was counted. */
  hottest(slot: number): { readonly name: number; readonly weight: number } | null {
    let [name, most] = [0, 0];
    for (let at = slot * places; at < (slot + 1) * places; at += 1) {
      const own = (this.#weights[at] as number) - (this.#inherited[at] as number);
      if (own > most) [name, most] = [this.#names[at] as number, own];
    }
    return most === 0 ? null : { name, weight: most };
  }

  clear(slot: number): void {
    const [first, end] = [slot * places, (slot + 1) * places];
    this.#names.fill(0, first, end);
    this.#weights.fill(0, first, end);
    this.#inherited.fill(0, first, end);
  }

  scale(by: number): void {
    for (let at = 0; at < this.#weights.length; at += 1) {
      this.#weights[at] = (this.#weights[at] as number) * by;
      this.#inherited[at] = (this.#inherited[at] as number) * by;
    }
  }
}

const places = 4;
