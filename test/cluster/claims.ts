/** What nodes said, at which moment, that they own. */
export class Claims {
  readonly #shards: number;
  readonly #said: { readonly micros: number; readonly id: string; readonly owned: ReadonlyMap<number, number> }[] = [];
  readonly #last = new Map<string, ReadonlyMap<number, number>>();

  constructor(shards: number) {
    this.#shards = shards;
  }

  /** A line of `member.ts`. */
  add(id: string, line: string): void {
    const [micros = '', ...pairs] = line.split(' ');
    const owned = new Map(pairs.map((pair) => pair.split(':').map(Number) as [shard: number, term: number]));
    this.#said.push({ micros: Number(micros), id, owned });
    this.#last.set(id, owned);
  }

  /** It said something. */
  has(id: string): boolean {
    return this.#last.has(id);
  }

  /** How many shards a node owns, by what it said last. */
  countOf(id: string): number {
    return this.#last.get(id)?.size ?? 0;
  }

  /** Every shard is owned by one of these, by what they said last. */
  areAllOwnedBy(ids: readonly string[]): boolean {
    const owned = new Set(ids.flatMap((id) => [...(this.#last.get(id)?.keys() ?? [])]));
    return owned.size === this.#shards;
  }

  /** Throws where two nodes owned a shard at once: its term went back, or one term had two owners. */
  check(): void {
    const newest = new Map<number, { readonly id: string; readonly term: number }>();
    for (const { micros, id, owned } of this.#said.toSorted((one, other) => one.micros - other.micros)) {
      for (const [shard, term] of owned) {
        const before = newest.get(shard);
        const isRight = before === undefined || term > before.term || (term === before.term && id === before.id);
        if (!isRight) {
          throw new Error(
            `shard ${shard}, at ${micros} us: ${id} in term ${term} after ${before.id} in ${before.term}`,
          );
        }
        newest.set(shard, { id, term });
      }
    }
  }
}
