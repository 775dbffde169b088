/**
 * Sorted streams as one sorted stream, the least first. Where heads are equal the earlier stream goes first, and
 * nothing is dropped. A binary heap: O(log streams) comparisons an item. Ending early ends all streams.
 */
export function* mergeSorted<T>(
  streams: readonly Iterator<T>[],
  compare: (left: T, right: T) => number,
): Generator<T, void, undefined> {
  const heads = new Heap<T>(compare);
  try {
    streams.forEach((stream, order) => heads.take(stream, order));
    for (let least = heads.least; least !== undefined; least = heads.least) {
      yield least.item;
      heads.advance();
    }
  } finally {
    for (const stream of streams) stream.return?.();
  }
}

interface Head<T> {
  item: T;
  readonly stream: Iterator<T>;
  readonly order: number;
}

class Heap<T> {
  readonly #heads: Head<T>[] = [];
  readonly #compare: (left: T, right: T) => number;

  constructor(compare: (left: T, right: T) => number) {
    this.#compare = compare;
  }

  get least(): Head<T> | undefined {
    return this.#heads[0];
  }

  take(stream: Iterator<T>, order: number): void {
    const next = stream.next();
    if (next.done === true) return;
    this.#heads.push({ item: next.value, stream, order });
    this.#rise(this.#heads.length - 1);
  }

  /** The least head becomes its stream's next item, or goes when there is none. */
  advance(): void {
    const least = this.#at(0);
    const next = least.stream.next();
    if (next.done !== true) {
      least.item = next.value;
    } else {
      const last = this.#heads.pop() as Head<T>;
      if (this.#heads.length === 0) return;
      this.#heads[0] = last;
    }
    this.#sink(0);
  }

  #rise(from: number): void {
    for (let at = from; at > 0;) {
      const parent = (at - 1) >>> 1;
      if (!this.#before(at, parent)) return;
      this.#swap(at, parent);
      at = parent;
    }
  }

  #sink(from: number): void {
    for (let at = from; ;) {
      let least = at;
      for (const child of [2 * at + 1, 2 * at + 2]) {
        if (child < this.#heads.length && this.#before(child, least)) least = child;
      }
      if (least === at) return;
      this.#swap(at, least);
      at = least;
    }
  }

  #before(left: number, right: number): boolean {
    const one = this.#at(left);
    const other = this.#at(right);
    const order = this.#compare(one.item, other.item);
    return order === 0 ? one.order < other.order : order < 0;
  }

  #swap(left: number, right: number): void {
    const head = this.#at(left);
    this.#heads[left] = this.#at(right);
    this.#heads[right] = head;
  }

  #at(index: number): Head<T> {
    return this.#heads[index] as Head<T>;
  }
}
