import { binding } from './load.ts';
import { called } from './native-error.ts';

/** A limit of this thread's heap that is set while it runs; Node.js itself takes one from its command line alone. */
export class HeapLimit {
  readonly #bytes: number;
  readonly #reserveBytes: number;
  /** False where this Node.js has no way to do it: then it goes by its own. */
  readonly isSet: boolean;

  private constructor(bytes: number, reserveBytes: number, isSet: boolean) {
    this.#bytes = bytes;
    this.#reserveBytes = reserveBytes;
    this.isSet = isSet;
  }

  /**
   * What lives long takes no more than `bytes` from now on. Near that the reserve is given, so that something
   * can be given up; when it is used up too, V8 ends the process. Never more than Node.js was started with.
   */
  static set(bytes: number, reserveBytes: number): HeapLimit {
    const isSet = called(() => binding().limitHeap(bytes, reserveBytes));
    return new HeapLimit(bytes, reserveBytes, isSet);
  }

  /** The limit was met since it was set, or restored last. */
  wasNear(): boolean {
    return called(() => binding().heapWasNear());
  }

  /** Takes the reserve back, as far as it is not in use. */
  restore(): void {
    called(() => binding().limitHeap(this.#bytes, this.#reserveBytes));
  }
}
