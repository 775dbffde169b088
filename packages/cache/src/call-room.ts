import { abortError } from '@millpool/host';
import type { Clock } from '@millpool/host';
import { formatBytes, MillpoolError } from '@millpool/protocol';

/** How the heap stands while calls go on, and whether somebody took an answer. */
const lookEveryMs = 20;

export interface CallRoomTerms {
  /** Of the heap, for calls under way together, with answers that nobody has taken yet. */
  readonly bytes: number;
  readonly clock: Clock;
  /** Answers that nobody has taken yet. */
  readonly unsentBytes: () => number;
  readonly heap: HeapLimit;
}

/** What keeps the heap within its part of the budget. */
export interface HeapLimit {
  /** The limit was met since `restore` was called last. */
  wasNear(): boolean;
  /** The limit holds again, where it was raised for the moment. */
  restore(): void;
}

interface Call {
  readonly bytes: number;
  readonly stop: AbortController;
}

interface Waiting {
  readonly call: Call;
  readonly begin: () => void;
}

/**
 * What calls that take much of the heap may take together: one that finds no room waits its turn, the first come first.
 * Should the heap run out all the same, the largest is given up, and its caller is told.
 */
export class CallRoom {
  readonly #terms: CallRoomTerms;
  readonly #waiting: Waiting[] = [];
  readonly #running = new Set<Call>();
  #takenBytes = 0;
  #looking = false;

  constructor(terms: CallRoomTerms) {
    this.#terms = terms;
  }

  /** `bytes`: what the call takes at the most, with its answer; of more than there are it takes all. */
  async run<T>(bytes: number, signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const call = { bytes: Math.min(bytes, this.#terms.bytes), stop: new AbortController() };
    if (this.#waiting.length > 0 || !this.#fits(call)) await this.#turn(call, signal);
    else this.#begin(call);
    try {
      return await work(AbortSignal.any([signal, call.stop.signal]));
    } finally {
      this.#running.delete(call);
      this.#takenBytes -= call.bytes;
      this.#admit();
    }
  }

  #fits({ bytes }: Call): boolean {
    return this.#takenBytes + this.#terms.unsentBytes() + bytes <= this.#terms.bytes;
  }

  #begin(call: Call): void {
    this.#running.add(call);
    this.#takenBytes += call.bytes;
    this.#lookOn();
  }

  #turn(call: Call, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
        reject(abortError(signal));
        this.#admit();
      };
      const begin = (): void => {
        signal.removeEventListener('abort', leave);
        this.#begin(call);
        resolve();
      };
      const waiting = { call, begin };
      this.#waiting.push(waiting);
      signal.addEventListener('abort', leave, { once: true });
      this.#lookOn();
    });
  }

  #admit(): void {
    for (let [first] = this.#waiting; first !== undefined && this.#fits(first.call); [first] = this.#waiting) {
      this.#waiting.shift();
      first.begin();
    }
  }

  #lookOn(): void {
    if (this.#looking) return;
    this.#looking = true;
    this.#terms.clock.after(lookEveryMs, () => {
      this.#looking = false;
      this.#look();
      if (this.#running.size > 0 || this.#waiting.length > 0) this.#lookOn();
    });
  }

  #look(): void {
    const { heap, bytes } = this.#terms;
    if (heap.wasNear()) {
      const largest = [...this.#running].toSorted((one, other) => other.bytes - one.bytes)[0];
      largest?.stop.abort(exhausted(bytes));
      heap.restore();
    }
    this.#admit();
  }
}

function exhausted(bytes: number): MillpoolError {
  return new MillpoolError({
    code: 'full',
    message: `The daemon's memory for calls ran out (${formatBytes(bytes)}); this was the largest under way.`,
    remedy: 'Ask again, for less at once.',
  });
}
