interface Event {
  readonly atMs: number;
  readonly act: () => void;
}

/** Things that happen in virtual time, the earliest first: a binary heap. */
export class EventQueue {
  readonly #heap: Event[] = [];
  #nowMs = 0;

  get nowMs(): number {
    return this.#nowMs;
  }

  /** Never before now. */
  at(atMs: number, act: () => void): void {
    const heap = this.#heap;
    const event = { atMs: Math.max(atMs, this.#nowMs), act };
    let place = heap.push(event) - 1;
    while (place > 0) {
      const above = (place - 1) >> 1;
      if ((heap[above] as Event).atMs <= event.atMs) break;
      heap[place] = heap[above] as Event;
      place = above;
    }
    heap[place] = event;
  }

  /** All that happens until then. */
  runUntil(endMs: number): void {
    for (let first = this.#heap[0]; first !== undefined && first.atMs <= endMs; first = this.#heap[0]) {
      this.#nowMs = first.atMs;
      this.#takeFirst();
      first.act();
    }
    this.#nowMs = endMs;
  }

  #takeFirst(): void {
    const heap = this.#heap;
    const last = heap.pop() as Event;
    if (heap.length === 0) return;
    let place = 0;
    for (;;) {
      let below = 2 * place + 1;
      if (below >= heap.length) break;
      if (below + 1 < heap.length && (heap[below + 1] as Event).atMs < (heap[below] as Event).atMs) below += 1;
      if ((heap[below] as Event).atMs >= last.atMs) break;
      heap[place] = heap[below] as Event;
      place = below;
    }
    heap[place] = last;
  }
}
