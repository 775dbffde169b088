import type { Call } from '@millpool/protocol';
import type { MillpoolNode } from '@millpool/test/harness';
import { connectTransport } from '@millpool/transport';
import type { TransportConnection } from '@millpool/transport';

const timeoutSeconds = 30;

/** Asks a daemon for entries, again and again, and keeps when each was answered rightly. */
export class ClusterProbe {
  readonly #connection: TransportConnection;
  readonly #paths: readonly string[];
  readonly #lastRightMs = new Map<string, number>();
  #longestMs = 0;
  #wrong = 0;
  #seconds: number[] = [];

  private constructor(connection: TransportConnection, paths: readonly string[]) {
    this.#connection = connection;
    this.#paths = paths;
  }

  /** `paths` are files that are there. */
  static async connect(node: MillpoolNode, paths: readonly string[]): Promise<ClusterProbe> {
    return new ClusterProbe(await connectTransport(`${node.socket}.control`), paths);
  }

  get call(): Call {
    return this.#connection.call;
  }

  /** Seconds that single questions took, since this was asked last; in their order. */
  takeSeconds(): number[] {
    const taken = this.#seconds.sort((one, other) => one - other);
    this.#seconds = [];
    return taken;
  }

  /** The longest that any path was without a right answer. */
  get longestSeconds(): number {
    return this.#longestMs / 1000;
  }

  /** Answers that were an error or another file. */
  get wrong(): number {
    return this.#wrong;
  }

  /** Until `isOver`; a few paths a question. */
  async run(pathsAtOnce: number, isOver: () => boolean): Promise<void> {
    for (let first = 0; !isOver(); first = (first + pathsAtOnce) % this.#paths.length) {
      await this.#ask(this.#paths.slice(first, first + pathsAtOnce));
    }
  }

  async close(): Promise<void> {
    await this.#connection.close();
  }

  async #ask(paths: readonly string[]): Promise<void> {
    const startMs = performance.now();
    const { results } = await this.call('stat', { paths }, { timeoutSeconds });
    const nowMs = performance.now();
    this.#seconds.push((nowMs - startMs) / 1000);
    paths.forEach((path, at) => {
      const result = results[at];
      if (result === undefined || 'error' in result || result.path !== path) {
        this.#wrong += 1;
        return;
      }
      this.#longestMs = Math.max(this.#longestMs, nowMs - (this.#lastRightMs.get(path) ?? nowMs));
      this.#lastRightMs.set(path, nowMs);
    });
  }
}
